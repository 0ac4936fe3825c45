"""Facts: what one event changes in what we know about its user. Pure, and the same for any order of batches.

Also for any order of the events, as far as ``lateness`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from models.configuration.compiled import ACTIVITY
from models.events import ORIGINS, Event
from models.profile import lateness, orders, statements
from models.profile.decay import bump
from models.profile.state import CartChange, Facts
from models.recommend.interactions import weight_of
from models.units import DAY, HOUR
from models.wire import withdrawals

RECENT = 30
CATEGORIES = 12

VISITS = frozenset(ACTIVITY)
"""Types of events in which a person is active; they begin and prolong sessions."""

_ADDRESSES = frozenset({"email", "phone"})
_CATEGORY_HALF_LIFE = 30 * DAY


class Lines(NamedTuple):
    """Lines in time that an event may lie before, milliseconds.

    Attributes
    ----------
    edge
        Older ones are late, see ``lateness``.
    floor
        Older ones are refused, unless a person forces them.
    orders
        Orders of the time before it are not remembered any more.
    """

    edge: int = 0
    floor: int = 0
    orders: int = 0


UNBOUNDED = Lines()
"""Nothing is too old."""


def check(facts: Facts, event: Event, lines: Lines = UNBOUNDED) -> None:
    """Refuse money that cannot be counted, or would let a user's state grow without bound; nothing is changed.

    Traits have limits of their own (:mod:`models.profile.trait_limits`), and refuse no event.

    Raises
    ------
    InvalidEvent
        ``state_full``: currencies or sums of money would be beyond what is kept. ``other_currency``: than that of the
        order.
    """
    if event.type in ("purchase", "refund"):
        orders.check(facts, event, lines.orders)


def reduce_facts(facts: Facts, event: Event, zone: tzinfo | None = None, lines: Lines = UNBOUNDED) -> None:
    """Fold one event into the facts, in place.

    Parameters
    ----------
    facts
        A working copy.
    event
        What happened.
    zone
        Where hours of the day are counted; UTC by default.
    lines
        What is too old to find its place in time; by default nothing is.
    """
    kind, events = event.type, facts.events
    events[kind] = events.get(kind, 0) + 1
    if not facts.identified and event.identified:
        facts.identified = True
    if event.origin != facts.origin and ORIGINS.index(event.origin) > ORIGINS.index(facts.origin):
        facts.origin = event.origin
    if kind in VISITS and (kind != "purchase" or orders.news_of(facts, event, lines.orders).is_visit):
        _visit(facts, event, zone, lines)
        if kind == "purchase":
            _bought(facts, event, lines)
    if (reducer := _REDUCERS.get(kind)) is not None:
        reducer(facts, event)
    elif (ordered := _ORDERED.get(kind)) is not None:
        ordered(facts, event, lines)
    if event.traits is not None:
        _traits(facts, event, lines)


def _visit(facts: Facts, event: Event, zone: tzinfo | None, lines: Lines) -> None:
    at = event.at
    lateness.visit(facts, at, lines.edge)
    bump(facts.activity, at)
    if not facts.hours:
        facts.hours = [0] * 24
    hour = at // HOUR % 24 if zone is None else datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).hour
    facts.hours[hour] += 1
    if event.item is not None:
        weight = weight_of(event.type, event.rating)
        if weight > 0:
            _touch(facts, event.item, weight, at)
            if event.category is not None:
                _interest(facts, event.category, weight, at)


def _touch(facts: Facts, item: str, weight: float, at: int) -> None:
    facts.recent.add(item, weight, at, RECENT)


def _interest(facts: Facts, category: str, weight: float, at: int) -> None:
    # all categories decay together: newer interest weighs more, so only the ratio to the newest matters
    elapsed = at - facts.categories_at
    if facts.categories_at:
        factor = 2.0 ** (-abs(elapsed) / _CATEGORY_HALF_LIFE)
        if elapsed > 0:
            for name in facts.categories:
                facts.categories[name] *= factor
        elif elapsed < 0:
            weight *= factor
    facts.categories_at = max(facts.categories_at, at)
    facts.categories[category] = facts.categories.get(category, 0.0) + weight
    if len(facts.categories) > CATEGORIES:
        weakest = min(facts.categories, key=lambda name: (facts.categories[name], name))
        del facts.categories[weakest]


def _view(facts: Facts, event: Event) -> None:
    bump(facts.views, event.at)


def _cart_add(facts: Facts, event: Event, lines: Lines) -> None:
    bump(facts.carts, event.at)
    if event.item is not None:
        change = CartChange(event.at, event.item, event.quantity, event.amount)
        lateness.change_cart(facts, change, lines.edge)


def _cart_remove(facts: Facts, event: Event, lines: Lines) -> None:
    if event.item is not None and event.quantity:
        lateness.change_cart(facts, CartChange(event.at, event.item, -event.quantity), lines.edge)


def _purchase(facts: Facts, event: Event, lines: Lines) -> None:
    orders.purchase(facts, event, lines.orders)


def _bought(facts: Facts, event: Event, lines: Lines) -> None:
    lateness.change_cart(facts, CartChange(event.at), lines.edge)
    for line in event.lines:
        _touch(facts, line.item, weight_of(event.type, event.rating), event.at)
        if line.category is not None:
            _interest(facts, line.category, weight_of(event.type, event.rating), event.at)


def _refund(facts: Facts, event: Event, lines: Lines) -> None:
    orders.refund(facts, event, lines.orders)


def _rating(facts: Facts, event: Event) -> None:
    if event.rating is not None:
        facts.ratings += 1
        facts.rating_sum += event.rating


def _support(facts: Facts, event: Event) -> None:  # noqa: ARG001 - it only counts
    facts.support += 1


def _traits(facts: Facts, event: Event, lines: Lines) -> None:
    known = facts.traits
    for name, value in (event.traits or {}).items():
        if event.trust == "public" and name in _ADDRESSES and name in known:
            continue  # who read a public key must not send another person's messages elsewhere
        if not lateness.is_newest_of(facts, name, event.at, lines.floor):
            continue
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value
    lateness.bound_traits(facts)


def _consent(facts: Facts, event: Event) -> None:
    if event.granted:
        statements.grant(facts, event)
    elif event.granted is False:
        statements.withdraw(facts, withdrawals.channels_of(event.channel), event.at, event.reason or "")


def _message(facts: Facts, event: Event) -> None:
    facts.messages[event.type] = facts.messages.get(event.type, 0) + 1


_REDUCERS: dict[str, Callable[[Facts, Event], None]] = {
    "product_view": _view,
    "rating": _rating,
    "support_message": _support,
    "consent": _consent,
    "message_sent": _message,
    "message_failed": _message,
    "message_unknown": _message,
    "message_delivered": _message,
    "message_opened": _message,
    "message_clicked": _message,
    "message_bounced": _message,
    "message_suppressed": _message,
}
_ORDERED: dict[str, Callable[[Facts, Event, Lines], None]] = {
    "cart_add": _cart_add,
    "cart_remove": _cart_remove,
    "purchase": _purchase,
    "refund": _refund,
}
"""Those whose result depends on where the event stands among others in time."""
