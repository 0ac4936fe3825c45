"""Join the cart of a visitor with that of the known user, in the order of time.

The changes of the last hours are known one by one, so they are applied as if all of them had come to one profile. Of an
older content, only the time of the last change is known.
"""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import NamedTuple

from models.profile import lateness
from models.profile.lateness import MAX_CART_LINES
from models.profile.numbers import PURCHASES, numbers_of
from models.profile.state import CartChange, CartLine, Facts

_when = attrgetter("at")


class _Cart(NamedTuple):
    """The cart of one profile.

    Attributes
    ----------
    before
        Its content before the changes.
    changes
        The changes of the last hours, oldest first.
    at
        Time of the last change, milliseconds.
    bought_at
        Time of the newest purchase, milliseconds; 0 without any.
    """

    before: dict[str, CartLine]
    changes: list[CartChange]
    at: int
    bought_at: int


def join_carts(facts: Facts, known: Facts, visitor: Facts, late_before: int) -> None:
    """Set the cart of the joint facts. A purchase of either profile empties what was put into the cart before.

    Parameters
    ----------
    facts
        The joint facts.
    known, visitor
        The facts to join; they are only read.
    late_before
        Time before which events are late, milliseconds.
    """
    one, other = _of(known), _of(visitor)
    one, other = _left(one, other), _left(other, one)
    facts.cart_at = max(one.at, other.at)
    before = _sum(one.before, other.before, other_is_newer=other.at > one.at)
    facts.cart = before
    changes = list(heapq.merge(one.changes, other.changes, key=_when))
    for change in changes:
        facts.cart = lateness.changed_cart(facts.cart, change)
    if changes:
        window = lateness.window_of(facts)
        window.cart, window.changes = before, changes
        lateness.apply_old_changes(window, late_before)


def _of(facts: Facts) -> _Cart:
    window = facts.window
    bought_at = int(numbers_of(facts)[PURCHASES])
    if window is None or not window.changes:
        return _Cart(facts.cart, [], facts.cart_at, bought_at)
    return _Cart(window.cart, window.changes, facts.cart_at, bought_at)


def _left(cart: _Cart, other: _Cart) -> _Cart:
    """Return a cart without what the other profile has bought since.

    A recent purchase is among the changes of the other profile. Of an older one, only the time is known. The merge
    record may come so late that the known user's purchase is an older one, and the visitor's changes before it are not.
    """
    bought_at = other.bought_at
    if not cart.changes:
        return cart._replace(before={}) if bought_at > cart.at else cart
    if any(change.at == bought_at and change.item is None for change in other.changes):
        return cart
    kept = [change for change in cart.changes if change.at >= bought_at]
    return cart if len(kept) == len(cart.changes) else cart._replace(before={}, changes=kept)


def _sum(one: dict[str, CartLine], other: dict[str, CartLine], *, other_is_newer: bool) -> dict[str, CartLine]:
    joint = dict(one)
    for item, line in other.items():
        mine = joint.get(item)
        if mine is not None:
            price = line.price if other_is_newer and line.price else mine.price or line.price
            joint[item] = CartLine(mine.quantity + line.quantity, price)
        elif len(joint) < MAX_CART_LINES:
            joint[item] = line
    return joint
