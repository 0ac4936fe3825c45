"""Join the facts about an anonymous visitor with those about the known user who the visitor is.

The result is what a fold would have computed that had read all events under the known user's id, in the order of time.
Where the facts do not contain enough for that, ``docs/identity.md`` names the difference.
"""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import NamedTuple

from models.events import ORIGINS
from models.identity.carts import join_carts
from models.identity.orders import join_orders
from models.identity.sessions import join_sessions
from models.identity.traits import join_traits
from models.profile import imports, pending_grants, purposes, seen_ids
from models.profile.decay import month_share, shares
from models.profile.numbers import COUNT, DECAYED, WIDTH, Numbers, numbers_of, put_back
from models.profile.recent_items import RecentItems
from models.profile.reducers import MAX_CATEGORIES, Cutoffs
from models.profile.seen_ids import WIDTH_BYTES
from models.profile.state import Facts, Window
from models.profile.statements import MAX_REMEMBERED
from models.recommend.interactions import MAX_RECENT_ITEMS

_when = attrgetter("at")


class Joint(NamedTuple):
    """Two profiles' facts, joined.

    Attributes
    ----------
    facts
        The joint facts.
    forgotten
        Number of message ids that had to be forgotten early.
    left_out
        Names of the visitor's traits for which there was no room.
    """

    facts: Facts
    forgotten: int
    left_out: list[str]


def join(known: Facts, visitor: Facts, now: int, cutoffs: Cutoffs) -> Joint:
    """Join the facts about a visitor with those about a known user.

    Parameters
    ----------
    known, visitor
        The facts, with the decayed counts put back. They are not changed, and the result shares no container with them
        that a reducer changes in place.
    now
        The partition's clock, milliseconds.
    cutoffs
        Times before which events are late or refused now.
    """
    facts, numbers = Facts(identified=True), _join_decayed(numbers_of(known), numbers_of(visitor))
    facts.origin = max(known.origin, visitor.origin, key=ORIGINS.index)
    if known.window is not None or visitor.window is not None:
        facts.window = Window()
    facts.events, facts.messages = _sums(known.events, visitor.events), _sums(known.messages, visitor.messages)
    facts.ratings, facts.support = known.ratings + visitor.ratings, known.support + visitor.support
    facts.rating_sum = known.rating_sum + visitor.rating_sum
    facts.hours = [one + other for one, other in zip(known.hours, visitor.hours, strict=False)]
    facts.hours = facts.hours or list(known.hours or visitor.hours)
    facts.visits, facts.evening_visits = (
        known.visits + visitor.visits,
        known.evening_visits + visitor.evening_visits,
    )
    facts.first_seen = min((at for at in (known.first_seen, visitor.first_seen) if at), default=0)
    facts.last_seen = max(known.last_seen, visitor.last_seen)
    facts.known_since = min((at for at in (known.known_since, visitor.known_since) if at), default=0)
    facts.conditions, facts.clauses = known.conditions, known.clauses
    _join_categories(facts, known, visitor)
    both = heapq.merge(known.recent, visitor.recent, key=_when)
    facts.recent = RecentItems.of(list(both)[-MAX_RECENT_ITEMS:])
    left_out = join_traits(facts, known, visitor)
    facts.past, facts.imports = known.past, imports.still_replaced(known.imports, known.traits, facts.traits)
    join_sessions(facts, known, visitor, cutoffs.late_before)
    join_carts(facts, known, visitor, cutoffs.late_before)
    _join_orders(facts, known, visitor, numbers)
    facts.consent = purposes.join(known.consent, visitor.consent)
    facts.pending = pending_grants.still_pending(pending_grants.join(known.pending, visitor.pending), facts.consent)
    facts.stated = _join_stated(known.stated, visitor.stated)
    facts.seen_ids, forgotten = seen_ids.join(known.seen_ids, visitor.seen_ids, now)
    if facts.window == Window():
        facts.window = None
    put_back(numbers, facts)
    return Joint(facts, forgotten, left_out)


def _sums(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    joint = dict(one)
    for name, count in other.items():
        joint[name] = joint.get(name, 0) + count
    return joint


def _join_decayed(numbers: Numbers, other: Numbers) -> Numbers:
    """Add the decayed counts of another profile, each as of the later of both times."""
    for place in range(DECAYED, COUNT, WIDTH):
        if not any(other[place + 1 : place + WIDTH]):
            continue
        at, added = int(numbers[place]), int(other[place])
        mine, theirs = shares(max(added - at, 0)), shares(max(at - added, 0))
        numbers[place] = max(at, added)
        for number in range(WIDTH - 1):
            value = numbers[place + 1 + number] * mine[number] + other[place + 1 + number] * theirs[number]
            numbers[place + 1 + number] = value
    return numbers


def _join_categories(facts: Facts, known: Facts, visitor: Facts) -> None:
    facts.categories_at = max(known.categories_at, visitor.categories_at)
    for one in (known, visitor):
        share = month_share(facts.categories_at - one.categories_at)
        for name, weight in one.categories.items():
            facts.categories[name] = facts.categories.get(name, 0.0) + weight * share
    categories = facts.categories
    while len(categories) > MAX_CATEGORIES:
        del categories[min(categories, key=lambda name: (categories[name], name))]


def _join_orders(facts: Facts, known: Facts, visitor: Facts, numbers: Numbers) -> None:
    facts.orders, facts.refunds, facts.last_order = known.orders, known.refunds, known.last_order
    facts.spent, facts.refunded = dict(known.spent), dict(known.refunded)
    facts.known_orders = dict(known.known_orders)
    join_orders(facts, numbers, visitor)
    for window in (known.window, visitor.window):
        if window is not None and window.orders and facts.window is not None:
            facts.window.orders |= window.orders


def _join_stated(known: bytes, visitor: bytes) -> bytes:
    mine = {known[place : place + WIDTH_BYTES] for place in range(0, len(known), WIDTH_BYTES)}
    parts = [visitor[place : place + WIDTH_BYTES] for place in range(0, len(visitor), WIDTH_BYTES)]
    return (b"".join(part for part in parts if part not in mine) + known)[-MAX_REMEMBERED * WIDTH_BYTES :]
