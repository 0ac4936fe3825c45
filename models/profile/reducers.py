"""Reducers: each folds one event into the facts about its user, and into the numbers from which features follow.

A result follows from the facts and the event alone: no reducer reads the ledger or a decision. The result does not
depend on how a log is cut into batches. Within the limits that :mod:`models.profile.lateness` describes, it does not
depend on the order of the events either.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from models.configuration import compiled
from models.events import ORIGINS, Event
from models.profile import imports, lateness, orders
from models.profile.decay import bump, month_share
from models.profile.numbers import (
    ACTIVITY,
    CART_LINES,
    CARTS,
    CATEGORIES,
    EVENING,
    EVENING_HOUR,
    FIRST_SEEN,
    GAP,
    HOURS,
    LAST_SEEN,
    OPENED,
    RATING_SUM,
    RATINGS,
    SESSIONS,
    SUPPORT,
    VIEWS,
    Numbers,
)
from models.profile.orders import ALL_NEW, News
from models.profile.state import CartChange, Facts
from models.recommend.interactions import MAX_RECENT_ITEMS, weight_of
from models.units import DAY, HOUR

MAX_CATEGORIES = 12
"""Maximum number of categories kept per user; the weakest is removed first."""

CATEGORY_PERIOD = 30 * DAY
"""Time after which the weights of categories are decayed, milliseconds; until then, newer weights grow instead."""

VISITS = frozenset(compiled.ACTIVITY)
"""Types of events that a person causes on a site: they count as activity, and open and prolong sessions."""

_ADDRESSES = frozenset({"email", "phone"})


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
    elif event.imported is not None:
        imports.check(facts, event)


def reduce_facts(
    facts: Facts,
    numbers: Numbers,
    event: Event,
    zone: tzinfo | None = None,
    cutoffs: Cutoffs = NO_CUTOFFS,
    news: News | None = None,
) -> None:
    """Fold one event into the facts and the numbers, in place, but not its statements about consent.

    Parameters
    ----------
    facts, numbers
        A working copy of the user's facts, and the user's numbers.
    event
        The event.
    zone
        The time zone in which hours of the day are counted; UTC by default.
    cutoffs
        Times before which an event is late or refused, or an order is no longer remembered; by default there are none.
    news
        The parts of a purchase that are new; they are looked for if they are not given.
    """
    kind, events = event.type, facts.events
    events[kind] = events.get(kind, 0) + 1
    if not facts.identified and event.identified:
        facts.identified = True
    if event.origin != facts.origin and ORIGINS.index(event.origin) > ORIGINS.index(facts.origin):
        facts.origin = event.origin
    if kind in VISITS:
        if news is None:
            news = ALL_NEW if kind != "purchase" else orders.news_of(facts, event, cutoffs.orders_before)
        if news.is_visit:
            _visit(facts, numbers, event, zone, cutoffs)
            if kind == "purchase":
                _buy(facts, numbers, event, cutoffs)
    if (reducer := REDUCERS.get(kind)) is not None:
        reducer(facts, numbers, event)
    elif (ordered := ORDERED_REDUCERS.get(kind)) is not None:
        ordered(facts, numbers, event, cutoffs)
    if event.traits is not None:
        _traits(facts, event, cutoffs)


def _visit(facts: Facts, numbers: Numbers, event: Event, zone: tzinfo | None, cutoffs: Cutoffs) -> None:
    at = event.at
    if lateness.visit(facts, at, cutoffs.late_before):
        numbers[FIRST_SEEN], numbers[SESSIONS], numbers[GAP] = facts.first_seen, facts.sessions, facts.gap
    numbers[LAST_SEEN] = facts.last_seen
    bump(numbers, ACTIVITY, at)
    hours = facts.hours
    if not hours:
        hours = facts.hours = [0] * 24
    hour = at // HOUR % 24 if zone is None else datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).hour
    hours[hour] += 1
    numbers[HOURS] = facts.visits = facts.visits + 1
    if hour >= EVENING_HOUR:
        numbers[EVENING] = facts.evening_visits = facts.evening_visits + 1
    item = event.item
    if item is not None:
        weight = weight_of(event.type, event.rating)
        if weight > 0:
            facts.recent.add(item, weight, at, MAX_RECENT_ITEMS)
            if (category := event.category) is not None:
                _interest(facts, numbers, category, weight, at)


def _interest(facts: Facts, numbers: Numbers, category: str, weight: float, at: int) -> None:
    """Add an interest in a category. Only the ratios between categories matter.

    All weights are as of ``categories_at``, the beginning of the newest :data:`CATEGORY_PERIOD`. The weight of a new
    interest grows with the time since then, so newer ones weigh more. Thus an event changes one weight and not all.
    """
    categories, elapsed = facts.categories, at - facts.categories_at
    if elapsed < 0:
        weight *= month_share(-elapsed)
    else:
        if elapsed >= CATEGORY_PERIOD:
            elapsed = _begin_category_period(facts, at)
        weight /= month_share(elapsed)
    if category in categories:
        categories[category] += weight
        return
    categories[category] = weight
    if len(categories) > MAX_CATEGORIES:
        del categories[min(categories, key=lambda name: (categories[name], name))]
    numbers[CATEGORIES] = len(categories)


def _begin_category_period(facts: Facts, at: int) -> int:
    """Begin the period in which ``at`` is, and return the time since its beginning, milliseconds."""
    elapsed = at % CATEGORY_PERIOD
    share = month_share(at - elapsed - facts.categories_at)
    categories = facts.categories
    for name in categories:
        categories[name] *= share
    facts.categories_at = at - elapsed
    return elapsed


def _view(facts: Facts, numbers: Numbers, event: Event) -> None:  # noqa: ARG001 - views are only counted
    bump(numbers, VIEWS, event.at)


def _cart_add(facts: Facts, numbers: Numbers, event: Event, cutoffs: Cutoffs) -> None:
    bump(numbers, CARTS, event.at)
    if event.item is not None:
        _change_cart(facts, numbers, CartChange(event.at, event.item, event.quantity, event.amount), cutoffs)


def _cart_remove(facts: Facts, numbers: Numbers, event: Event, cutoffs: Cutoffs) -> None:
    if event.item is not None and event.quantity:
        _change_cart(facts, numbers, CartChange(event.at, event.item, -event.quantity), cutoffs)


def _change_cart(facts: Facts, numbers: Numbers, change: CartChange, cutoffs: Cutoffs) -> None:
    lateness.change_cart(facts, change, cutoffs.late_before)
    numbers[CART_LINES] = len(facts.cart)


def _purchase(facts: Facts, numbers: Numbers, event: Event, cutoffs: Cutoffs) -> None:
    orders.purchase(facts, numbers, event, cutoffs.orders_before)


def _buy(facts: Facts, numbers: Numbers, event: Event, cutoffs: Cutoffs) -> None:
    _change_cart(facts, numbers, CartChange(event.at), cutoffs)
    weight = weight_of(event.type, event.rating)
    for line in event.lines:
        facts.recent.add(line.item, weight, event.at, MAX_RECENT_ITEMS)
        if line.category is not None:
            _interest(facts, numbers, line.category, weight, event.at)


def _refund(facts: Facts, numbers: Numbers, event: Event, cutoffs: Cutoffs) -> None:
    orders.refund(facts, numbers, event, cutoffs.orders_before)


def _rating(facts: Facts, numbers: Numbers, event: Event) -> None:
    if event.rating is not None:
        facts.ratings += 1
        facts.rating_sum += event.rating
        numbers[RATINGS], numbers[RATING_SUM] = facts.ratings, facts.rating_sum


def _support(facts: Facts, numbers: Numbers, event: Event) -> None:  # noqa: ARG001 - messages are only counted
    facts.support += 1
    numbers[SUPPORT] = facts.support


def _traits(facts: Facts, event: Event, cutoffs: Cutoffs) -> None:
    known = facts.traits = dict(facts.traits)  # a decision may still see the old ones
    changed = []
    for name, value in (event.traits or {}).items():
        if event.trust == "public" and name in _ADDRESSES and name in known:
            continue  # a visitor with a browser key must not redirect another person's messages
        if not lateness.is_newest_of(facts, name, event.stated_at, cutoffs.refused_before):
            continue
        changed.append(name)
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value
    if changed and facts.imports:
        imports.forget_traits(facts, changed, "" if event.imported is None else event.imported.run)
    lateness.bound_traits(facts)


def _message(facts: Facts, numbers: Numbers, event: Event) -> None:
    facts.messages[event.type] = facts.messages.get(event.type, 0) + 1
    if event.type == "message_opened":
        numbers[OPENED] = facts.messages[event.type]


REDUCERS: dict[str, Callable[[Facts, Numbers, Event], None]] = {
    "product_view": _view,
    "rating": _rating,
    "support_message": _support,
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
ORDERED_REDUCERS: dict[str, Callable[[Facts, Numbers, Event, Cutoffs], None]] = {
    "cart_add": _cart_add,
    "cart_remove": _cart_remove,
    "purchase": _purchase,
    "refund": _refund,
}
"""Reducers whose result depends on the order of the events in time, by event type."""
