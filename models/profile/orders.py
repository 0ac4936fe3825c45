"""The orders of a user: each order counts once, and its refunds stay within its amount.

Purchases and refunds of one order may come twice, in parts, late, and out of order. So an order is remembered by its id
(:class:`~models.profile.state.KnownOrder`). Its amount follows from all events of the order that were read:

- ``lines`` add up;
- a ``whole`` statement replaces lines, and further whole statements are repeats;
- a ``replacement`` replaces both, whatever its time; the newest one counts;
- a statement with a server key replaces statements with a browser key, which anyone can use;
- refunds count up to the order's amount.

Each event changes the sums by the difference between the order's amounts after and before it. So the events of an order
in one currency give the same result in any order. If the events name several currencies, the first one that was read
decides which refunds count against the order.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.errors import InvalidEvent
from models.events import DEFAULT_CURRENCY, MICROS, UNREADABLE_CURRENCY, Event
from models.profile.decay import bump
from models.profile.numbers import ORDERS, PURCHASES, REFUNDS, SPEND, SPENT, Numbers
from models.profile.state import Facts, KnownOrder

LINES, WHOLE, UPDATED, TRUSTED, REFUNDED = 1, 2, 4, 8, 16
"""Flags of ``KnownOrder.known``.

- ``LINES``, ``WHOLE``, ``UPDATED``: the order was stated by lines, as a whole, or by an update.
- ``TRUSTED``: it was stated with a server key.
- ``REFUNDED``: it is refunded entirely.
"""
EXCESS = "refund_exceeds_order"
"""Reason of the dead letter of a refund that has counted only in part."""
MAX_ORDERS = 64
"""Maximum number of orders remembered per user; the oldest are forgotten first."""
MAX_MONEY = 2**62
"""Maximum sum of one currency, micros: above that of any shop, and within 64 bits."""
MAX_CURRENCIES = 16
"""Maximum number of currencies in which a user's purchases, or refunds, are added up."""

_STATED = LINES | WHOLE | UPDATED
_UNKNOWN = KnownOrder(at=0)
_NO_CURRENCIES = ("", UNREADABLE_CURRENCY)


class News(NamedTuple):
    """The parts of a purchase that are new, compared with what is known of its order.

    Attributes
    ----------
    is_visit
        Whether the purchase counts as an activity of the user: it opens sessions and empties the cart.
    triggers
        Whether rules may react to it.
    learned_items
        Items whose interaction the recommender has already learned; ``None`` if it has learned all of them.
    confirms
        Whether it states, with a server key, an order that was stated before with a browser key. Marketing rules have
        already reacted to the earlier statement.
    """

    is_visit: bool = True
    triggers: bool = True
    learned_items: frozenset[str] | None = frozenset()
    confirms: bool = False


ALL_NEW = News()
"""The news of an event in which everything is new, as in nearly every event."""


def repeat_of(facts: Facts, event: Event, orders_before: int) -> str:
    """Compare a repeat of a whole order with the known order; return an empty text if the event is no repeat.

    Parameters
    ----------
    facts, event
        The user's facts, and a purchase by the user.
    orders_before
        Time before which orders are not remembered, milliseconds.

    Returns
    -------
    str
        ``same`` amount and currency, ``different``, or ``updated``: an update has replaced the first statement.
    """
    if event.order_form != "whole" or event.order is None:
        return ""
    before = _known(facts, event.order, orders_before)
    if before is _UNKNOWN:
        return "same" if _counted_by_schema_3(facts, event.order) else ""
    if not before.known & WHOLE or _confirms(before, event):
        return ""
    if before.currency in _NO_CURRENCIES and event.currency not in _NO_CURRENCIES:
        return ""  # the repeat adds the missing currency
    if before.known & UPDATED:
        return "updated"
    is_same = event.amount == before.amount and can_be_one(before.currency, event.currency)
    return "same" if is_same else "different"


def news_of(facts: Facts, event: Event, orders_before: int) -> News:
    """Return the parts of a purchase that are new; call it before the purchase is folded."""
    if event.order is None:
        return ALL_NEW
    before = _known(facts, event.order, orders_before)
    stated = before.known & _STATED
    is_visit = event.order_form != "replacement" and not (event.order_form == "whole" and stated & WHOLE)
    if not stated or (event.order_form == "lines" and stated == LINES):
        return ALL_NEW if is_visit else News(is_visit=False)
    if _confirms(before, event) and event.order_form == "whole":
        return News(is_visit=is_visit, learned_items=None, confirms=True)
    if event.order_form == "replacement" and _after(before, event).amount != before.amount:
        return News(is_visit=False, triggers=False, learned_items=frozenset(recent.item for recent in facts.recent))
    return News(is_visit=is_visit, triggers=False, learned_items=None)


def purchase(facts: Facts, numbers: Numbers, event: Event, orders_before: int) -> None:
    """Count a purchase into the user's orders and money, in place."""
    if event.order is None:
        _count(facts, numbers, None, KnownOrder(event.at, event.amount, event.currency, known=LINES))
        return
    before = _known(facts, event.order, orders_before)
    if before is _UNKNOWN and _counted_by_schema_3(facts, event.order):
        if event.order_form == "lines":
            facts.spent = add_money(facts.spent, event.currency or DEFAULT_CURRENCY, event.amount)
            numbers[SPENT] = sum(facts.spent.values())
            bump(numbers, SPEND, event.at, event.amount / MICROS)
        return
    after = _after(before, event)
    _count(facts, numbers, before, after)
    _remember(facts, event.order, after, orders_before)


def refund(facts: Facts, numbers: Numbers, event: Event, orders_before: int) -> None:
    """Count a refund, up to the remainder of its order, in place."""
    facts.refunds += 1
    numbers[REFUNDS] = facts.refunds
    before = _UNKNOWN if event.order is None else _known(facts, event.order, orders_before)
    after = _claimed(before, event)
    if event.order is None or after is before:
        amount = event.amount if not before.known & _STATED else 0
        facts.refunded = add_money(facts.refunded, event.currency or DEFAULT_CURRENCY, amount)
        return
    _count(facts, numbers, before, after)
    _remember(facts, event.order, after, orders_before)


def excess_of(facts: Facts, event: Event, orders_before: int) -> tuple[int, KnownOrder] | None:
    """Return the part of a refund that its order does not cover, with the order; ``None`` if there is no such part.

    Call it before the refund is folded.
    """
    if event.order is None or event.order_form == "whole":
        return None
    before = _known(facts, event.order, orders_before)
    if not before.known & _STATED:
        return None
    excess = event.amount - (refunded(_claimed(before, event)) - refunded(before))
    return (excess, before) if excess else None


def refunded(order: KnownOrder) -> int:
    """Return the amount of an order that counts as refunded, micros.

    Examples
    --------
    >>> [refunded(KnownOrder(0, amount=100, claimed=claimed, known=WHOLE)) for claimed in (0, 30, 250)]
    [0, 30, 100]
    >>> refunded(KnownOrder(0, claimed=30)), refunded(KnownOrder(0, amount=100, known=WHOLE | REFUNDED))
    (30, 100)
    """
    if not order.known & _STATED:
        return order.claimed
    return order.amount if order.known & REFUNDED else min(order.amount, order.claimed)


def is_stated(order: KnownOrder) -> bool:
    """Return whether a purchase has stated an order; otherwise only refunds have named it."""
    return bool(order.known & _STATED)


def is_refunded(order: KnownOrder) -> bool:
    """Return whether a refund of an order counts."""
    return bool(order.known & REFUNDED) or refunded(order) > 0


def currency_of(order: KnownOrder) -> str:
    """Return the currency in which an order counts."""
    return order.currency or DEFAULT_CURRENCY


def beyond(facts: Facts) -> dict[str, int]:
    """Return the sums of refunds beyond the amounts of their orders, micros by currency, for remembered orders."""
    found: dict[str, int] = {}
    for order in facts.known_orders.values():
        if order.known & _STATED and order.claimed > order.amount:
            currency = currency_of(order)
            found[currency] = found.get(currency, 0) + order.claimed - order.amount
    return found


def check(facts: Facts, event: Event, orders_before: int) -> None:
    """Refuse money that cannot be counted; change nothing.

    Raises
    ------
    InvalidEvent
        ``other_currency``: the currency is not that of the order. ``state_full``: there are too many currencies, or the
        sum is too large.
    """
    sums = facts.spent if event.type == "purchase" else facts.refunded
    before = _UNKNOWN if event.order is None else _known(facts, event.order, orders_before)
    if _is_in_other_currency(before, event):
        allowed = f"{before.currency}, as the order {event.order} has"
        raise InvalidEvent("other_currency", "currency", event.currency, allowed)
    currency = event.currency or currency_of(before)
    if currency not in sums and event.amount and len(sums) >= MAX_CURRENCIES:
        raise InvalidEvent("state_full", "currency", currency, f"{MAX_CURRENCIES} currencies a user")
    if sums.get(currency, 0) + event.amount > MAX_MONEY:
        raise InvalidEvent("state_full", "amount", str(event.amount), f"{MAX_MONEY} micros in all")


# --- one order -----------------------------------------------------------------------------------------------------


def _known(facts: Facts, order: str, orders_before: int) -> KnownOrder:
    known = facts.known_orders.get(order, _UNKNOWN)
    return known if known.at >= orders_before or known.updated >= orders_before else _UNKNOWN


def _counted_by_schema_3(facts: Facts, order: str) -> bool:
    return order == facts.last_order or (facts.window is not None and order in facts.window.orders)


def _confirms(before: KnownOrder, event: Event) -> bool:
    """Return whether an event is the first with a server key about an order that only browser keys have stated."""
    return event.trust == "server" and before.known & _STATED > 0 and not before.known & TRUSTED


def _is_in_other_currency(before: KnownOrder, event: Event) -> bool:
    if can_be_one(before.currency, event.currency) or not before.known & _STATED:
        return False
    if event.type == "refund":
        return event.order_form != "whole" and event.amount > 0
    return event.order_form == "lines" and before.known & _STATED == LINES and not _confirms(before, event)


def can_be_one(known: str, said: str) -> bool:
    """Return whether two currencies are the same, or at least one is unknown."""
    return known == said or known in _NO_CURRENCIES or said in _NO_CURRENCIES


def settled_currency(known: str, said: str) -> str:
    """Return the currency of an order: the known one, or the stated one if none is known."""
    return said if known in _NO_CURRENCIES and said else known


def _after(before: KnownOrder, event: Event) -> KnownOrder:
    """Return the order as it is known after a purchase."""
    if not before.known & _STATED:
        if can_be_one(before.currency, event.currency):
            before = KnownOrder(event.at, 0, before.currency, before.claimed, before.known)
        else:  # refunds in another currency do not count against the order
            before = KnownOrder(event.at, known=before.known)
    elif _confirms(before, event):
        before = KnownOrder(before.at, 0, event.currency, before.claimed, before.known & REFUNDED)
    at, amount, currency, known = min(before.at, event.at), before.amount, before.currency, before.known
    updated, form = before.updated, event.order_form
    if event.trust == "server":
        known |= TRUSTED
    elif known & TRUSTED:
        return msgspec.structs.replace(before, at=at)
    if form == "replacement":
        known |= UPDATED
        if event.at >= updated:
            amount, currency, updated = event.amount, settled_currency(event.currency, currency), event.at
    elif form == "whole":
        if not known & (UPDATED | WHOLE):
            amount, currency = event.amount, settled_currency(event.currency, currency)
        known |= WHOLE
    else:
        if not known & (UPDATED | WHOLE):
            amount += event.amount
        known |= LINES
    return KnownOrder(at, amount, settled_currency(currency, event.currency), before.claimed, known, updated)


def _claimed(before: KnownOrder, event: Event) -> KnownOrder:
    """Return the order as it is known after a refund; ``before`` itself if there is nothing to remember."""
    at, currency, claimed, known = before.at, before.currency, before.claimed, before.known
    if event.order_form == "whole":
        known |= REFUNDED
    elif not event.amount or (not known & _STATED and not can_be_one(currency, event.currency)):
        return before
    else:
        currency, claimed = settled_currency(currency, event.currency), min(claimed + event.amount, MAX_MONEY)
    if not known & _STATED:
        at = event.at if before is _UNKNOWN else min(at, event.at)
    return KnownOrder(at, before.amount, currency, claimed, known, before.updated)


def _remember(facts: Facts, order: str, known: KnownOrder, orders_before: int) -> None:
    book = facts.known_orders
    if order not in book and book:
        book = {name: one for name, one in book.items() if max(one.at, one.updated) >= orders_before}
    book[order] = known
    if len(book) > MAX_ORDERS:
        del book[min(book, key=lambda name: (max(book[name].at, book[name].updated), name))]
    facts.known_orders = book


# --- the amounts that count -------------------------------------------------------------------------------------------


def _count(facts: Facts, numbers: Numbers, before: KnownOrder | None, after: KnownOrder) -> None:
    """Replace, in the facts, the amounts that an order has added before by those that it adds now."""
    was = None if before is None or not before.known & _STATED else before
    if after.known & _STATED:
        if was is None:
            facts.orders += 1
            numbers[ORDERS] = facts.orders
            bump(numbers, PURCHASES, after.at)
            bump(numbers, SPEND, after.at, after.amount / MICROS)
        elif was.at != after.at:  # an earlier part of the order arrived later
            bump(numbers, PURCHASES, after.at)
            bump(numbers, PURCHASES, was.at, -1.0)
            bump(numbers, SPEND, after.at, after.amount / MICROS)
            bump(numbers, SPEND, was.at, -was.amount / MICROS)
        elif was.amount != after.amount:
            bump(numbers, SPEND, after.at, (after.amount - was.amount) / MICROS)
        _replace_spent(facts, was, after)
        numbers[SPENT] = sum(facts.spent.values())
    if before is not None and before.claimed <= after.claimed:  # otherwise refunds in another currency stay
        facts.refunded = add_money(facts.refunded, currency_of(before), -refunded(before))
    facts.refunded = add_money(facts.refunded, currency_of(after), refunded(after))


def _replace_spent(facts: Facts, was: KnownOrder | None, after: KnownOrder) -> None:
    amount, currency = after.amount, currency_of(after)
    if was is not None and currency_of(was) == currency:
        amount -= was.amount
    elif was is not None:
        facts.spent = add_money(facts.spent, currency_of(was), -was.amount)
    facts.spent = add_money(facts.spent, currency, amount)


def add_money(sums: dict[str, int], currency: str, amount: int) -> dict[str, int]:
    """Return the sums with an amount added to one currency.

    A sum of 0 is removed, so that a reversed amount leaves no trace. The given sums are not changed, because a decision
    may still see them.
    """
    if not amount:
        return sums
    total = sums.get(currency, 0) + amount
    if total:
        return {**sums, currency: total}
    return {other: known for other, known in sums.items() if other != currency}
