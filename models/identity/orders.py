"""Join the orders and the money of a visitor with those of the known user; an order that both know counts once."""

from __future__ import annotations

from models.events import MICROS
from models.profile.decay import bump
from models.profile.numbers import PURCHASES, SPEND, Numbers
from models.profile.orders import (
    LINES,
    MAX_MONEY,
    MAX_ORDERS,
    TRUSTED,
    UPDATED,
    WHOLE,
    add_money,
    can_be_one,
    currency_of,
    refunded,
    settled_currency,
)
from models.profile.state import Facts, KnownOrder

_STATED = LINES | WHOLE | UPDATED


def combine(one: KnownOrder, other: KnownOrder) -> KnownOrder:
    """Return what is known of an order that two profiles of one person have read about in different events.

    Examples
    --------
    >>> combine(KnownOrder(5, 300, "EUR", known=LINES), KnownOrder(3, 200, "EUR", claimed=50, known=LINES))
    KnownOrder(at=3, amount=500, currency='EUR', claimed=50, known=1, updated=0)
    >>> combine(KnownOrder(5, 300, "EUR", known=LINES), KnownOrder(9, 450, "EUR", known=WHOLE)).amount
    450
    """
    first, second = sorted((one, other), key=_strength, reverse=True)
    known, claimed, amount = first.known | second.known, first.claimed, first.amount
    if can_be_one(first.currency, second.currency):
        claimed = min(first.claimed + second.claimed, MAX_MONEY)
        if first.known & _STATED == second.known & _STATED == LINES and not (first.known ^ second.known) & TRUSTED:
            amount += second.amount
    at = min(first.at, second.at) if second.known & _STATED or not first.known & _STATED else first.at
    currency = settled_currency(first.currency, second.currency)
    return KnownOrder(at, amount, currency, claimed, known, max(first.updated, second.updated))


def _strength(order: KnownOrder) -> tuple[bool, bool, int, int, int, int]:
    """Return a key by which, of two statements of one order, the one that counts comes last."""
    known = order.known
    form = 3 if known & UPDATED else 2 if known & WHOLE else 1
    return known & _STATED > 0, known & TRUSTED > 0, form, order.updated, -order.at, order.amount


def join_orders(facts: Facts, numbers: Numbers, other: Facts) -> None:
    """Add the orders and the money of another profile of the same person, in place.

    The decayed counts of both profiles have to be in the numbers already; here, only orders that both profiles know are
    corrected.
    """
    facts.orders, facts.refunds = facts.orders + other.orders, facts.refunds + other.refunds
    for currency, amount in other.spent.items():
        facts.spent = add_money(facts.spent, currency, amount)
    for currency, amount in other.refunded.items():
        facts.refunded = add_money(facts.refunded, currency, amount)
    book = dict(facts.known_orders)
    for order, added in other.known_orders.items():
        known = book.get(order)
        book[order] = added if known is None else combine(known, added)
        if known is not None:
            _count_once(facts, numbers, (known, added), book[order])
    while len(book) > MAX_ORDERS:
        del book[min(book, key=lambda name: (max(book[name].at, book[name].updated), name))]
    facts.known_orders = book
    facts.last_order = facts.last_order or other.last_order


def _count_once(facts: Facts, numbers: Numbers, parts: tuple[KnownOrder, KnownOrder], joint: KnownOrder) -> None:
    """Replace the amounts that two profiles have counted for one order by those of the joint order."""
    for order, sign in ((parts[0], -1), (parts[1], -1), (joint, 1)):
        if order.known & _STATED:
            facts.orders += sign
            facts.spent = add_money(facts.spent, currency_of(order), sign * order.amount)
            bump(numbers, PURCHASES, order.at, float(sign))
            bump(numbers, SPEND, order.at, sign * order.amount / MICROS)
        facts.refunded = add_money(facts.refunded, currency_of(order), sign * refunded(order))
