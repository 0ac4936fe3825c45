"""Goals as money: which message has the credit for a conversion, and what the conversion is worth.

A conversion gives one credit, to the newest message that was sent within the goal's time before it. The other messages
of that time have assisted. One order gives at most one credit, whatever journeys and campaigns have it as their goal.
So the credits of a currency never add up to more than the orders. The value of an order follows its refunds and updates
for the goal's time after the conversion. An order that is refunded entirely takes its credit back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from models.conditions.amounts import MICROS, micros_of
from models.conditions.properties import MONEY, value_of
from models.configuration.journeys.definition import Goal
from models.engage.caps import NOT_SENT
from models.events import Event
from models.profile import orders
from models.profile.conversions import WHOLE_ORDER, CountedConversion, trimmed_conversions
from models.profile.ledger import SentMessage
from models.profile.state import KnownOrder

_ORDERS = frozenset({"purchase", "refund"})
_NOT_REACHED = NOT_SENT | {"failed", "bounced"}
"""Outcomes of messages that have reached no one, and get no credit."""
_MAX_CURRENCY = 8
"""Maximum length of a currency that an event with a name of its own states, characters."""


class ReachedGoal(NamedTuple):
    """A goal that an event has reached.

    Attributes
    ----------
    owner
        Name of the journey, or id of the start of a campaign.
    is_campaign
        Whether it is a campaign.
    run
        Id of the run; for a campaign, the id of the start.
    rules
        The rule of a campaign's message, or the beginning of those of a journey's steps.
    goal
        The goal.
    is_held_out
        Whether the run, or the user, belongs to the control group.
    """

    owner: str
    is_campaign: bool
    run: str
    rules: str
    goal: Goal
    is_held_out: bool = False

    def sends(self, message: SentMessage) -> bool:
        """Return whether a message is one of the journey or of the campaign."""
        return message.rule == self.rules if self.is_campaign else message.rule.startswith(self.rules)


class ValueMove(NamedTuple):
    """A change of the money of a run, or of a user in a campaign.

    Attributes
    ----------
    owner, is_campaign, is_held_out
        As in :class:`ReachedGoal`.
    currency, amount
        The currency, and the change in micros.
    square
        Change of the square of the run's money, in units of the currency.
    """

    owner: str
    is_campaign: bool
    is_held_out: bool
    currency: str
    amount: int
    square: float


class CreditMove(NamedTuple):
    """A change of the credits of messages.

    Attributes
    ----------
    rule, channel
        The messages.
    credited, assisted
        Changes of the numbers of conversions.
    currency, amount
        The currency, and the change of the money in micros.
    """

    rule: str
    channel: str
    credited: int = 0
    assisted: int = 0
    currency: str = ""
    amount: int = 0


class Attributed(NamedTuple):
    """The changes by one event.

    Attributes
    ----------
    conversions
        The conversions that the profile remembers.
    values, credits
        The changes of the numbers.
    """

    conversions: tuple[CountedConversion, ...]
    values: tuple[ValueMove, ...] = ()
    credits: tuple[CreditMove, ...] = ()


def follow_order(known: Sequence[CountedConversion], name: str, order: KnownOrder, at: int) -> Attributed:
    """Let conversions follow what is known now of their order: its amount, and its refunds.

    Parameters
    ----------
    known
        The conversions that the profile remembers.
    name, order
        Id of the order, and the order after an event.
    at
        Time of the event, milliseconds.
    """
    found, values, given = list(known), list[ValueMove](), list[CreditMove]()
    if not orders.is_stated(order):
        return Attributed(tuple(found))
    for place, before in enumerate(found):
        if before.order != name or at > before.until:
            continue
        after = _valued(before, order)
        if after == before:
            continue
        values += _value_moves(found, before, after)
        found[place] = after
        if after.rule:
            change = int(before.is_back) - int(after.is_back)
            given += _credit_moves(before, after, change)
    return Attributed(tuple(found), tuple(values), tuple(given))


def attribute(
    known: Sequence[CountedConversion],
    sent: Iterable[SentMessage],
    reached: Iterable[ReachedGoal],
    event: Event,
    order: KnownOrder | None,
    at: int,
) -> Attributed:
    """Count the value of conversions by one event, and give their credit.

    Parameters
    ----------
    known
        The conversions that the profile remembers.
    sent
        The messages that were sent before the event, oldest first.
    reached
        The goals that the event has reached.
    event
        The event.
    order
        Its order after the event; ``None`` if it has none.
    at
        Time at which it counts, milliseconds.
    """
    name = (event.order or "") if event.type in _ORDERS else ""
    found, values = list(known), list[ValueMove]()
    fresh: list[tuple[ReachedGoal, CountedConversion]] = []
    for one in reached:
        if name and any(other.order == name and other.run == one.run for other in found):
            continue  # this order counts for the run already, and follows what is known of it
        conversion = _conversion(one, event, name, order, at)
        values += _value_moves(found, replace(conversion, value=0), conversion)
        fresh.append((one, conversion))
        found.append(conversion)
    credited, given = _credit(fresh, sent, at)
    if credited is not None and not (name and any(one.order == name and one.rule for one in known)):
        place, after = credited
        found[len(known) + place] = after
        is_counted = int(not after.is_back)  # a refund may be read before its order
        given = [*given, CreditMove(after.rule, after.channel, is_counted, 0, after.currency, after.value)]
    else:
        given = []
    kept = [one for one in found[len(known) :] if one.order or _is_repeated(one, fresh)]
    return Attributed(trimmed_conversions([*known, *kept]), tuple(values), tuple(given))


def _is_repeated(one: CountedConversion, fresh: Iterable[tuple[ReachedGoal, CountedConversion]]) -> bool:
    return any(reached.run == one.run and reached.goal.is_repeated for reached, _ in fresh)


def _credit(
    fresh: Sequence[tuple[ReachedGoal, CountedConversion]], sent: Iterable[SentMessage], at: int
) -> tuple[tuple[int, CountedConversion] | None, list[CreditMove]]:
    """Return the place of the conversion whose message gets the credit, and the messages that have assisted."""
    treated = [(place, one, conversion) for place, (one, conversion) in enumerate(fresh) if not one.is_held_out]
    best: tuple[int, CountedConversion] | None = None
    others: list[CreditMove] = []
    newest: SentMessage | None = None
    for message in sent:
        if message.outcome in _NOT_REACHED:
            continue
        for place, one, conversion in treated:
            if one.sends(message) and at - one.goal.within <= message.at <= at:
                if newest is not None and best is not None:
                    others.append(CreditMove(newest.rule, newest.channel, assisted=1))
                newest = message
                best = place, replace(conversion, rule=message.rule, channel=message.channel)
                break
    return best, others


def _conversion(one: ReachedGoal, event: Event, name: str, order: KnownOrder | None, at: int) -> CountedConversion:
    goal = one.goal
    base = CountedConversion(one.owner, one.is_campaign, one.run, one.is_held_out, name, at + goal.within)
    if not goal.value:
        return replace(base, stated=0)
    if goal.value == "amount" and event.type in _ORDERS:
        if name and order is not None and orders.is_stated(order):
            return _valued(base, order)
        return replace(base, currency=event.currency, value=event.amount, stated=event.amount)
    found = value_of(event, goal.value)
    if goal.value in MONEY:
        return replace(base, currency=event.currency, value=found or 0, stated=found or 0)
    micros = micros_of(found) or 0
    return replace(base, currency=_currency(event), value=micros, stated=micros)


def _currency(event: Event) -> str:
    """Return the currency of a value that is not the amount of the event."""
    if event.type in _ORDERS:
        return event.currency
    said = (event.properties or {}).get("currency")
    return said if isinstance(said, str) and len(said) <= _MAX_CURRENCY else ""


def _valued(one: CountedConversion, order: KnownOrder) -> CountedConversion:
    """Return a conversion with the value that follows from its order."""
    refunded = orders.refunded(order)
    net = order.amount - refunded
    is_back = orders.is_refunded(order) and not net
    if one.stated == WHOLE_ORDER:
        return replace(one, currency=orders.currency_of(order), value=net, is_back=is_back)
    share = one.stated * net // order.amount if order.amount else one.stated
    return replace(one, value=0 if is_back else share, is_back=is_back)


def _value_moves(
    found: Iterable[CountedConversion], before: CountedConversion, after: CountedConversion
) -> list[ValueMove]:
    """Return the changes of a run's money; ``before`` is among ``found``, or has no value."""
    totals: dict[str, int] = {}
    for one in found:
        if one.run == before.run:
            totals[one.currency] = totals.get(one.currency, 0) + one.value
    moves: list[ValueMove] = []
    changes = [(before.currency, -before.value), (after.currency, after.value)]
    if before.currency == after.currency:
        changes = [(after.currency, after.value - before.value)]
    for currency, change in changes:
        if change:
            was = totals.get(currency, 0)
            square = ((was + change) / MICROS) ** 2 - (was / MICROS) ** 2
            moves.append(ValueMove(after.owner, after.is_campaign, after.is_held_out, currency, change, square))
    return moves


def _credit_moves(before: CountedConversion, after: CountedConversion, change: int) -> list[CreditMove]:
    if before.currency == after.currency:
        amount = after.value - before.value
        return [CreditMove(after.rule, after.channel, change, 0, after.currency, amount)] if change or amount else []
    return [
        CreditMove(after.rule, after.channel, change, 0, before.currency, -before.value),
        CreditMove(after.rule, after.channel, 0, 0, after.currency, after.value),
    ]
