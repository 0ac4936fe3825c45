"""The step: state and an event (or a timer) in, changed state and effects out.

Everything that is decided about a user is decided here, in one fixed order: versions, facts, what the models say,
rules, planner, timers. So an event is visible to its own decision, and a cap is reserved in the very change that
decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from models.engage import outcomes, planner, rules
from models.engage.reports import reports_of
from models.events import MICROS, REPORTED, Event
from models.fold import assessment
from models.fold.effects import Effects
from models.fold.versions import Versions
from models.profile import orders, timers
from models.profile.orders import News
from models.profile.reducers import UNBOUNDED, VISITS, Lines, reduce_facts
from models.profile.signals import Signal
from models.profile.state import Customer, Timer
from models.profile.statements import SIMPLE, Statement, statement_of, withdraw
from models.recommend.interactions import Interaction, interactions_of
from models.wire.withdrawals import channels_of

CART, PENDING = "cart", "pending"
"""Timers of rules: a cart was left for the rule's time; a deferred message may go."""


def step_event(
    customer: Customer, event: Event, now: int, versions: Versions, effects: Effects, lines: Lines = UNBOUNDED
) -> None:
    """Fold one event into a user, in place.

    Parameters
    ----------
    customer
        A working copy of the user's state.
    event
        Not a duplicate.
    now
        Of the partition's clock, milliseconds; the event may be older.
    versions
        In use at this place of the log.
    effects
        What follows is appended to it.
    lines
        What is too old to find its place in time.
    """
    kind, at = event.type, min(event.at, now)
    first_order = customer.facts.orders == 0
    news = orders.ALL_NEW if kind != "purchase" else orders.news_of(customer.facts, event, lines.orders)
    assessed = kind in _ASSESSED
    if assessed:
        assessment.align(customer, versions)
    if customer.ledger.examples and news.is_visit:
        assessment.witness(customer, event, versions)
    if kind not in SIMPLE or event.traits:
        statement = statement_of(customer.facts, event, versions.configuration.consent)
        if statement is not None:
            step_statement(customer, event, statement, effects)
    reduce_facts(customer.facts, event, versions.zone, lines)
    if kind in REPORTED:
        effects.notices.extend(outcomes.note(customer.ledger, event))
    elif event.confirmed and event.granted and event.trust == "server":
        channels = channels_of(event.channel)
        effects.notices.extend(reports_of(customer.facts, event, "confirmed_grant", channels))
    effects.interactions.extend(
        interactions_of(event) if news is orders.ALL_NEW else _interactions(event, news.learned_items)
    )
    begin = len(effects.signals)
    if assessed:
        assessment.assess(customer, event.user, now, versions, event.id, at, effects)
    if kind in VISITS and news.is_visit:
        assessment.arm(customer, event.user, now)
        if kind in _CARTS:
            _watch_cart(customer, versions)
    if kind == "purchase" or (event.name if kind == "custom" else kind) in versions.event_names:
        is_first = (first_order or news.confirms) and customer.facts.orders == 1
        effects.signals.extend(_signals_of(event, at, news, is_first, versions))
    if len(effects.signals) > begin:
        if event.trust == "public":
            effects.signals[begin:] = [msgspec.structs.replace(one, public=True) for one in effects.signals[begin:]]
        _react(customer, event.user, now, versions, effects, begin)


def step_statement(customer: Customer, event: Event, statement: Statement, effects: Effects) -> None:
    """Let a statement count, and nothing else of its event: consent is withdrawn, and delivery is notified.

    Parameters
    ----------
    customer
        A working copy of the user's state.
    event
        Which may be refused for whatever else it says.
    statement
        Of ``event``, before it was folded.
    effects
        Notices are appended to it.
    """
    facts, channels = customer.facts, statement.channels
    granted = withdraw(facts, channels, event.at, statement.source)
    effects.notices.extend(outcomes.withdrawn(customer.ledger, event, channels, granted))
    if statement.complaint:
        effects.notices.extend(reports_of(facts, event, "complaint", channels))
    if statement.bounce:
        effects.notices.extend(reports_of(facts, event, "hard_bounce", ("email",)))


def step_timer(customer: Customer, user: str, timer: Timer, now: int, versions: Versions, effects: Effects) -> None:
    """Fire one timer of a user, in place; it has been taken out of the ledger already."""
    kind, _, argument = timer.name.partition(":")
    begin = len(effects.signals)
    if kind == assessment.ASSESS:
        assessment.align(customer, versions)
        assessment.look(customer, user, now, versions, effects)
    elif kind == assessment.LABEL:
        assessment.release(customer, user, now, versions, effects)
    elif kind == CART and customer.facts.cart:
        items = tuple(customer.facts.cart)
        cause = f"timer:{timer.name}:{timer.due}"
        effects.signals.append(
            Signal(kind="cart_left", user=user, at=timer.due, cause=cause, name=argument, items=items)
        )
    elif kind == PENDING:
        number = versions.configuration_number
        released = planner.release(versions.configuration, user, customer, now, number, paused=versions.paused)
        effects.decisions.extend(released)
        _wait(customer, now)
    if len(effects.signals) > begin:
        _react(customer, user, now, versions, effects, begin)


_CARTS = frozenset({"cart_add", "cart_remove", "purchase"})
_ASSESSED = VISITS | {"refund"}


def _signals_of(event: Event, at: int, news: News, is_first: bool, versions: Versions) -> Iterator[Signal]:
    """Give the signals of an event itself: the user's first purchase, and its name where a rule waits for that."""
    if event.type == "purchase" and news.triggers and is_first:
        yield Signal(
            kind="first_purchase",
            user=event.user,
            at=at,
            cause=event.id,
            value=event.amount / MICROS,
            items=tuple(line.item for line in event.lines),
            confirms=news.confirms,
        )
    name = event.name if event.type == "custom" or not news.triggers else event.type
    if name in versions.event_names:
        yield Signal(
            kind="event",
            user=event.user,
            at=at,
            cause=event.id,
            name=name,
            properties=event.properties,
            confirms=news.confirms,
        )


def _interactions(event: Event, learned: frozenset[str] | None) -> tuple[Interaction, ...]:
    """Interactions of an event, without those that are no news."""
    if learned is None:
        return ()
    found = interactions_of(event)
    return tuple(one for one in found if one.item not in learned) if learned else found


def _watch_cart(customer: Customer, versions: Versions) -> None:
    if not customer.facts.cart:
        timers.cancel_all(customer, CART)
        return
    for rule, delay in versions.cart_timers:
        timers.set_timer(customer, f"{CART}:{rule}", customer.facts.cart_at + delay)


def _react(customer: Customer, user: str, now: int, versions: Versions, effects: Effects, begin: int) -> None:
    """Let the rules look at the signals since ``begin``."""
    number, decided = versions.configuration_number, len(effects.decisions)
    for signal in effects.signals[begin:]:
        for rule in rules.matching(versions.configuration, signal):
            if signal.confirms and rule.category == "marketing":
                continue
            decision = planner.plan(
                versions.configuration, rule, signal, user, customer, now, number, paused=versions.paused
            )
            effects.decisions.append(decision)
    if len(effects.decisions) > decided:
        _wait(customer, now)


def _wait(customer: Customer, now: int) -> None:
    """One timer for whatever waits, at the earliest end of a wait."""
    if customer.ledger.pending:
        timers.set_timer(customer, PENDING, max(now + 1, min(p.until for p in customer.ledger.pending)))
    else:
        timers.cancel(customer, PENDING)
