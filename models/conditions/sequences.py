"""Evaluate sequences: events one after the other.

The order of two events is that of their times, and that of their arrival if the times are equal. An event that is older
than ``events.order_within`` counts only if nothing newer is known. So older events can be replaced by the partial
matches that they have led to. For each step, only those pairs of begin and newest time are kept that no other pair
dominates.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from models.conditions.clauses import SequenceClause, SequenceStep
from models.conditions.entries import Partial, Seen, Track
from models.conditions.leaf import LeafEvaluator, LeafReading, Occurrence, Person
from models.conditions.matching import EventTest, event_test
from models.conditions.periods import ALWAYS
from models.conditions.properties import MAX_KEY, is_named, key_of, value_of
from models.conditions.truth import Truth
from models.events import Event

MAX_PARTIALS = 64
"""Maximum number of partial matches of one step and user. Above it, the oldest is forgotten."""
MAX_RECENT = 512
"""Maximum number of events whose order may still change. Above it, the oldest are settled early."""


class SequenceEvaluator(LeafEvaluator):
    """The evaluation of ``sequence``."""

    def __init__(self, key: int, clause: SequenceClause, covered_from: int) -> None:
        super().__init__(key, clause, covered_from)
        self.steps = clause.steps
        self.within = clause.within
        self.events = tuple(dict.fromkeys([*(step.event for step in clause.steps), *clause.without]))
        self._without = frozenset(clause.without)
        self._tests = [event_test(step.where) for step in clause.steps]
        self._names, self._kept, self._same = _references(clause.steps)
        if covered_from > ALWAYS:
            self.known_at = covered_from + 2 * clause.within

    def decode(self, content: bytes) -> Track:
        """Decode the entry of the clause."""
        return Track.decode(content)

    def observe(self, entry: Track | None, occurrence: Occurrence, now: int, person: Person) -> Track | None:
        """Add an event that fits a step, or that must not happen."""
        event, at = occurrence.event, occurrence.at
        fits, ends = self._fitting(event), any(is_named(event, name) for name in self._without)
        if not fits and not ends:
            return None
        if at <= now - 2 * self.within:
            return None
        if entry is not None and at < person.late_before and at < entry.newest:
            return None
        found = Track(len(self.steps)) if entry is None else entry
        values = tuple(key_of(value_of(event, name)) for name in self._names) if fits else ()
        seen, matches = (at, fits, ends, values), found.matches if at >= found.newest else None
        insort(found.recent, seen, key=_time_of)
        found.newest = max(found.newest, at)
        is_complete = self._settle(found, person.late_before, now)
        if matches is not None and is_complete:
            self._advance(matches, seen)
            found.matches = matches
        else:
            found.matches = None
        return found

    def _fitting(self, event: Event) -> int:
        fits = 0
        for i, step in enumerate(self.steps):
            if is_named(event, step.event):
                test: EventTest | None = self._tests[i]
                if test is None or test(event):
                    fits |= 1 << i
        return fits

    def _settle(self, track: Track, late_before: int, now: int) -> bool:
        """Replace events whose order cannot change any more by their partial matches; return whether all had room."""
        recent, past = track.recent, 0
        while past < len(recent) and (recent[past][0] < late_before or len(recent) - past > MAX_RECENT):
            track.is_approximate = track.is_approximate or recent[past][0] >= late_before
            self._advance(track.settled, recent[past])
            past += 1
        if past:
            del recent[:past]
        begin, had_room = now - 2 * self.within, True
        for step in track.settled:
            step[:] = [partial for partial in step if partial[0] > begin]
            if len(step) > MAX_PARTIALS:
                step.sort(key=_last_of)
                del step[: len(step) - MAX_PARTIALS]
                track.is_approximate, had_room = True, False
        return had_room

    def _advance(self, matches: list[list[Partial]], seen: Seen) -> None:
        """Extend partial matches by one event, in place."""
        at, fits, ends, values = seen
        if ends:
            for step in matches:
                step.clear()
        for i in range(len(self.steps) - 1, -1, -1):
            if not fits >> i & 1:
                continue
            if i == 0:
                add_partial(matches[0], (at, at, self._bound(0, (None,) * len(self._kept), values)))
                continue
            limit = self.steps[i].at_most_after
            for partial in matches[i - 1]:
                begin, last, bound = partial
                if at - begin > self.within or (limit and at - last > limit) or not self._agrees(i, bound, values):
                    continue
                add_partial(matches[i], (begin, at, self._bound(i, bound, values)))

    def _agrees(self, i: int, bound: tuple[str | None, ...], values: tuple[str | None, ...]) -> bool:
        return all(values[own] is not None and values[own] == bound[kept] for own, kept in self._same[i])

    def _bound(self, i: int, bound: tuple[str | None, ...], values: tuple[str | None, ...]) -> tuple[str | None, ...]:
        if not any(step == i for step, _ in self._kept):
            return bound
        return tuple(values[own] if step == i else known for known, (step, own) in zip(bound, self._kept, strict=True))

    def _complete(self, entry: Track) -> list[Partial]:
        """Return the complete matches of which no other is as good."""
        if entry.matches is None:
            matches = [list(step) for step in entry.settled]
            for seen in entry.recent:
                self._advance(matches, seen)
            entry.matches = matches
        return entry.matches[-1]

    def truth(self, entry: Track | None, at: int, person: Person) -> Truth:
        """Return whether there is a match whose last step is new enough."""
        begin = at - self.within
        covered = self.is_covered(begin - self.within, person)
        for match in self._complete(entry) if entry is not None else ():
            if match[1] > begin and (covered or match[0] > self.covered_from):
                return True
        return False if covered else None

    def instants(self, entry: Track | None, at: int, person: Person) -> Iterator[int]:
        """Yield when matches become too old, and when the clause becomes covered."""
        found = {match[1] + self.within for match in self._complete(entry)} if entry is not None else set()
        if person.known_since <= self.covered_from:
            found.add(self.known_at)
        yield from sorted(instant for instant in found if instant > at)

    def forget(self, entry: Track, now: int, person: Person) -> Track | None:
        """Remove what is too old; the entry is needed as long as its newest event could decide the order."""
        if entry.newest <= now - 2 * self.within:
            return None
        self._settle(entry, person.late_before, now)
        entry.matches = None
        return entry

    def weigh(self, entry: Track) -> int:
        """Return the greatest size that the stored entry can have, bytes."""
        partials = sum(map(len, entry.settled))
        return 12 + (partials + len(entry.recent)) * (20 + (MAX_KEY + 3) * max(len(self._names), len(self._kept)))

    def shrink(self, entry: Track) -> None:
        """Settle the older half of the recent events early, and forget the older half of the partial matches."""
        half = (len(entry.recent) + 1) // 2
        for seen in entry.recent[:half]:
            self._advance(entry.settled, seen)
        del entry.recent[:half]
        for step in entry.settled:
            step.sort(key=_last_of)
            del step[: len(step) // 2]
        entry.is_approximate, entry.matches = True, None

    def read(self, entry: Track | None, at: int, person: Person) -> LeafReading:
        """Return how many steps were matched."""
        if entry is None:
            return LeafReading(f"0 of {len(self.steps)} steps")
        begin = at - self.within
        if found := [match for match in self._complete(entry) if match[1] > begin]:
            newest = max(found, key=_last_of)
            return LeafReading(f"{len(self.steps)} of {len(self.steps)} steps", newest[1], None, entry.is_approximate)
        assert entry.matches is not None
        reached = [i for i, step in enumerate(entry.matches[:-1]) if any(partial[0] >= begin for partial in step)]
        done = reached[-1] + 1 if reached else 0
        last = max((partial[1] for partial in entry.matches[reached[-1]]), default=None) if reached else None
        return LeafReading(f"{done} of {len(self.steps)} steps", last, None, entry.is_approximate)


def _time_of(seen: Seen) -> int:
    return seen[0]


def _last_of(partial: Partial) -> int:
    return partial[1]


def add_partial(step: list[Partial], new: Partial) -> None:
    """Add a partial match, unless one is as good; remove those that are not better in anything."""
    begin, last, bound = new
    kept = []
    for partial in step:
        if partial[2] == bound:
            if partial[0] >= begin and partial[1] >= last:
                return
            if partial[0] <= begin and partial[1] <= last:
                continue
        kept.append(partial)
    kept.append(new)
    step[:] = kept


def _references(
    steps: tuple[SequenceStep, ...],
) -> tuple[list[str], list[tuple[int, int]], list[list[tuple[int, int]]]]:
    """Return what the steps refer to.

    Returns
    -------
    tuple
        First, the names of all properties that are needed. Second, the step and the index of its property, for each
        value that is kept. Third, for each step, the index of its own property and that of the kept value that must be
        equal.
    """
    places = {step.name: i for i, step in enumerate(steps) if step.name}
    names: list[str] = []
    kept: list[tuple[int, int]] = []
    same: list[list[tuple[int, int]]] = [[] for _ in steps]
    for i, step in enumerate(steps):
        for own, comparison in step.where:
            if comparison.same_as is None:
                continue
            name, _, other = comparison.same_as.partition(".")
            for needed in (own, other):
                if needed not in names:
                    names.append(needed)
            source = (places[name], names.index(other))
            if source not in kept:
                kept.append(source)
            same[i].append((names.index(own), kept.index(source)))
    return names, kept, same
