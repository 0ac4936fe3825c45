"""Reducers: each folds one event into the facts about its user.

A result follows from the facts and the event alone, and does not depend on how a log is cut into batches. Within the
limits that :mod:`models.profile.lateness` describes, it does not depend on the order of the events either.
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
from models.recommend.interactions import MAX_RECENT_ITEMS, weight_of
from models.units import DAY, HOUR
from models.wire import withdrawals

MAX_CATEGORIES = 12
"""Maximum number of categories kept per user; the weakest is removed first."""

VISITS = frozenset(ACTIVITY)
"""Types of events that a person causes on a site: they count as activity, and open and prolong sessions."""

_ADDRESSES = frozenset({"email", "phone"})
_CATEGORY_HALF_LIFE = 30 * DAY


class Cutoffs(NamedTuple):
    """Limits of age, each as a time in milliseconds.

    Attributes
    ----------
    late_before
        Older events are late, see :mod:`models.profile.lateness`.
    refused_before
        Older events are refused, unless a person forces them.
    orders_before
        Older orders are not remembered any more.
    """

    late_before: int = 0
    refused_before: int = 0
    orders_before: int = 0


NO_CUTOFFS = Cutoffs()
"""Cut-offs for which no event is too old."""


def check(facts: Facts, event: Event, cutoffs: Cutoffs = NO_CUTOFFS) -> None:
    """Refuse money that cannot be counted, or that would let a user's state grow without bound; change nothing.

    Traits have separate limits (:mod:`models.profile.trait_limits`), which refuse no event.

    Raises
    ------
    InvalidEvent
        ``state_full``: there would be too many currencies, or too large a sum of money. ``other_currency``: the
        currency is not that of the order.
    """
    if event.type in ("purchase", "refund"):
        orders.check(facts, event, cutoffs.orders_before)


def reduce_facts(facts: Facts, event: Event, zone: tzinfo | None = None, cutoffs: Cutoffs = NO_CUTOFFS) -> None:
    """Fold one event into the facts, in place.

    Parameters
    ----------
    facts
        A working copy of the user's facts.
    event
        The event.
    zone
        The time zone in which hours of the day are counted; UTC by default.
    cutoffs
        Times before which an event is late or refused, or an order is no longer remembered; by default there are none.
    """
    kind, events = event.type, facts.events
    events[kind] = events.get(kind, 0) + 1
    if not facts.identified and event.identified:
        facts.identified = True
    if event.origin != facts.origin and ORIGINS.index(event.origin) > ORIGINS.index(facts.origin):
        facts.origin = event.origin
    if kind in VISITS and (kind != "purchase" or orders.news_of(facts, event, cutoffs.orders_before).is_visit):
        _visit(facts, event, zone, cutoffs)
        if kind == "purchase":
            _buy(facts, event, cutoffs)
    if (reducer := REDUCERS.get(kind)) is not None:
        reducer(facts, event)
    elif (ordered := ORDERED_REDUCERS.get(kind)) is not None:
        ordered(facts, event, cutoffs)
    if event.traits is not None:
        _traits(facts, event, cutoffs)


def _visit(facts: Facts, event: Event, zone: tzinfo | None, cutoffs: Cutoffs) -> None:
    at = event.at
    lateness.visit(facts, at, cutoffs.late_before)
    bump(facts.activity, at)
    if not facts.hours:
        facts.hours = [0] * 24
    hour = at // HOUR % 24 if zone is None else datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).hour
    facts.hours[hour] += 1
    if event.item is not None:
        weight = weight_of(event.type, event.rating)
        if weight > 0:
            _add_recent(facts, event.item, weight, at)
            if event.category is not None:
                _interest(facts, event.category, weight, at)


def _add_recent(facts: Facts, item: str, weight: float, at: int) -> None:
    facts.recent.add(item, weight, at, MAX_RECENT_ITEMS)


def _interest(facts: Facts, category: str, weight: float, at: int) -> None:
    # All categories decay together, so that a newer interest weighs more. Only the ratios between them matter.
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
    if len(facts.categories) > MAX_CATEGORIES:
        weakest = min(facts.categories, key=lambda name: (facts.categories[name], name))
        del facts.categories[weakest]


def _view(facts: Facts, event: Event) -> None:
    bump(facts.views, event.at)


def _cart_add(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    bump(facts.carts, event.at)
    if event.item is not None:
        change = CartChange(event.at, event.item, event.quantity, event.amount)
        lateness.change_cart(facts, change, cutoffs.late_before)


def _cart_remove(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    if event.item is not None and event.quantity:
        lateness.change_cart(facts, CartChange(event.at, event.item, -event.quantity), cutoffs.late_before)


def _purchase(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    orders.purchase(facts, event, cutoffs.orders_before)


def _buy(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    lateness.change_cart(facts, CartChange(event.at), cutoffs.late_before)
    for line in event.lines:
        _add_recent(facts, line.item, weight_of(event.type, event.rating), event.at)
        if line.category is not None:
            _interest(facts, line.category, weight_of(event.type, event.rating), event.at)


def _refund(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    orders.refund(facts, event, cutoffs.orders_before)


def _rating(facts: Facts, event: Event) -> None:
    if event.rating is not None:
        facts.ratings += 1
        facts.rating_sum += event.rating


def _support(facts: Facts, event: Event) -> None:  # noqa: ARG001 - the event is only counted
    facts.support += 1


def _traits(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    known = facts.traits
    for name, value in (event.traits or {}).items():
        if event.trust == "public" and name in _ADDRESSES and name in known:
            continue  # a visitor with a browser key must not redirect another person's messages
        if not lateness.is_newest_of(facts, name, event.at, cutoffs.refused_before):
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


REDUCERS: dict[str, Callable[[Facts, Event], None]] = {
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
"""Reducers whose result does not depend on the order of the events in time, by event type."""
ORDERED_REDUCERS: dict[str, Callable[[Facts, Event, Cutoffs], None]] = {
    "cart_add": _cart_add,
    "cart_remove": _cart_remove,
    "purchase": _purchase,
    "refund": _refund,
}
"""Reducers whose result depends on the order of the events in time, by event type."""
