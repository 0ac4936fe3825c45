"""Join what the clauses remember of two users who turn out to be one person.

Each event was counted for exactly one of the two. So the joint entry is that of the union of their events:

- Counts, sums, extremes, values and ages are exact, within the bounds of an entry.
- An absence begins at the first event of each of the two, if this event may be one that ends the absence.
- A sequence is exact for the events whose order may still change. Of older ones, the partial matches of both are kept,
  but none that goes from one user to the other.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from operator import itemgetter
from typing import NamedTuple, get_args

from models.conditions.ages import AbsentEvaluator
from models.conditions.clauses import EventClause, ValueClause
from models.conditions.counts import TimesEvaluator, keep_newest
from models.conditions.entries import Entry, Newest, Series, Track, Variety
from models.conditions.leaf import LeafEvaluator, Person
from models.conditions.merging import MAX_SUM, merge_oldest
from models.conditions.program import ConditionProgram
from models.conditions.sequences import add_partial
from models.conditions.steps import ClauseStep
from models.conditions.sums import MAX_ENTRIES, AmountEvaluator, ExtremeEvaluator
from models.conditions.user_state import ClauseState, UserConditions
from models.conditions.varieties import DistinctEvaluator
from models.events import EventType

_TYPES = frozenset(get_args(EventType))


class PersonSide(NamedTuple):
    """One of the two users, as far as it is known besides the entries.

    Attributes
    ----------
    known_since
        Time of the user's first event, milliseconds; 0 before any.
    counts
        Number of the user's events by type.
    """

    known_since: int
    counts: Mapping[str, int]

    def may_have(self, name: str) -> bool:
        """Return whether the user may have an event of a name or a type."""
        return name in self.counts or (name not in _TYPES and "custom" in self.counts)


class Joining(NamedTuple):
    """The circumstances of a merge.

    Attributes
    ----------
    now
        The partition's clock, milliseconds.
    before, after
        What clauses read of the user before and after the merge.
    known, visitor
        The user, and the other one who is the same person.
    """

    now: int
    before: Person
    after: Person
    known: PersonSide
    visitor: PersonSide


def join_clauses(
    program: ConditionProgram, user: UserConditions, visitor: ClauseState | None, joining: Joining
) -> ClauseStep:
    """Add the entries of another user to those of a user, in place, and return the clauses that have changed.

    Clauses on values are left out, because their entries follow from the values.

    Parameters
    ----------
    program
        The conditions in use; entries of other clauses are ignored.
    user
        The conditions of the user, with the time of the first event of both.
    visitor
        The entries of the other user; ``None`` for none.
    joining
        The circumstances.
    """
    step, entries = ClauseStep(), {} if visitor is None else visitor.entries
    now, before, after = joining.now, joining.before, joining.after
    for key, leaf in program.leaves.items():
        if isinstance(leaf.clause, ValueClause):
            continue
        one, content = user.entry(leaf), entries.get(key)
        was = leaf.truth(one, now, before)
        other = None if content is None else leaf.decode(content)
        joint = join_entries(leaf, one, other, joining)
        if joint is not None:
            joint = leaf.forget(joint, now, after)
        if joint is not None or one is not None:
            user.put(leaf, joint, leaf.next_change(joint, now, after))
        step.change(program, key, was, leaf.truth(joint, now, after))
    return step


def join_entries(leaf: LeafEvaluator, one: Entry | None, other: Entry | None, joining: Joining) -> Entry | None:
    """Return the entry of a clause for the events of both users; an argument may be changed and returned.

    Parameters
    ----------
    leaf
        The clause.
    one, other
        The entries of the user and of the other one.
    joining
        The circumstances.
    """
    if isinstance(leaf, AbsentEvaluator):
        one, other = _absence(leaf, one, joining.known), _absence(leaf, other, joining.visitor)
    if one is None or other is None:
        return other if one is None else one
    match one, other:
        case Series(), Series():
            return _join_series(leaf, one, other)
        case Variety(), Variety():
            return _join_varieties(leaf, one, other)
        case Newest(), Newest():
            return _join_newest(leaf, one, other)
        case Track(), Track():
            return _join_tracks(one, other)
    return one


def _absence(leaf: AbsentEvaluator, entry: Entry | None, side: PersonSide) -> Entry | None:
    """Return the entry of an absence; the first event of a user may have been one that ends it, but is not kept."""
    if entry is None and side.known_since and side.may_have(leaf.events[0]):
        return Newest(side.known_since, 0)
    return entry


def _join_series(leaf: LeafEvaluator, one: Series, other: Series) -> Series:
    if isinstance(leaf, AmountEvaluator) and leaf.is_endless:
        return _join_totals(leaf, one, other)
    joint, has_counts = Series(), bool(one.counts or other.counts)
    rows = heapq.merge(_rows(one), _rows(other), key=itemgetter(0))
    for at, mark, value, count in rows:
        joint.times.append(at)
        joint.marks.append(mark)
        if value is not None:
            joint.values.append(value)
        if has_counts:
            joint.counts.append(count)
    joint.is_approximate = one.is_approximate or other.is_approximate
    if isinstance(leaf, TimesEvaluator):
        keep_newest(joint, leaf.keep)
    elif isinstance(leaf, ExtremeEvaluator):
        _keep_extremes(leaf, joint)
    if isinstance(leaf, AmountEvaluator):
        while len(joint.times) > MAX_ENTRIES:
            merge_oldest(joint, leaf.combine)
    return joint


def _rows(series: Series) -> list[tuple[int, int, int | None, int]]:
    """Return time, mark, value and number of events of each entry."""
    values: list[int] | list[None] = series.values or [None] * len(series.times)
    counts = series.counts or [1] * len(series.times)
    return list(zip(series.times, series.marks, values, counts, strict=True))


def _join_totals(leaf: AmountEvaluator, one: Series, other: Series) -> Series:
    """Join two series that never end: each has a single entry for all events."""
    newer, older = (one, other) if one.times[0] >= other.times[0] else (other, one)
    if isinstance(leaf, ExtremeEvaluator):
        is_more_extreme = leaf.combine((newer.values[0], older.values[0])) == newer.values[0]
        return newer if is_more_extreme else older
    total = one.values[0] + other.values[0]
    newer.is_approximate = one.is_approximate or other.is_approximate or abs(total) > MAX_SUM
    newer.values = [max(-MAX_SUM, min(total, MAX_SUM))]
    newer.counts = [sum(one.counts or [1]) + sum(other.counts or [1])]
    return newer


def _keep_extremes(leaf: ExtremeEvaluator, series: Series) -> None:
    """Remove the events after which there is one with a value that is as extreme."""
    extreme: int | None = None
    for place in range(len(series.times) - 1, -1, -1):
        value = series.values[place]
        if extreme is not None and leaf.combine((extreme, value)) == extreme:
            series.remove(place, place + 1)
        else:
            extreme = value


def _join_varieties(leaf: LeafEvaluator, one: Variety, other: Variety) -> Variety:
    assert isinstance(leaf, DistinctEvaluator)
    for key, times in zip(other.keys, other.times, strict=True):
        if key in one.keys:
            place = one.keys.index(key)
            one.times[place] = sorted([*one.times[place], *times])[-leaf.each :]
        else:
            one.keys.append(key)
            one.times.append(times)
    order = sorted(range(len(one.keys)), key=lambda number: (one.times[number][-1], one.keys[number]))
    kept = order[-leaf.keep :]
    one.is_approximate |= other.is_approximate or (leaf.each > 1 and len(kept) < len(order))
    one.keys, one.times = [one.keys[number] for number in kept], [one.times[number] for number in kept]
    return one


def _join_newest(leaf: LeafEvaluator, one: Newest, other: Newest) -> Newest:
    """Return the first of two events for a clause on the first event, and the newest for any other clause."""
    clause = leaf.clause
    if isinstance(clause, EventClause) and clause.measure.kind == "first":
        return one if one.at <= other.at else other
    return one if one.at >= other.at else other


def _join_tracks(one: Track, other: Track) -> Track:
    one.newest, one.matches = max(one.newest, other.newest), None
    for step, added in zip(one.settled, other.settled, strict=True):
        for partial in added:
            add_partial(step, partial)
    one.recent = list(heapq.merge(one.recent, other.recent, key=itemgetter(0)))
    one.is_approximate |= other.is_approximate
    return one
