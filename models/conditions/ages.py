"""Evaluate the time since an event, and its absence."""

from __future__ import annotations

from collections.abc import Iterator

from models import durations
from models.conditions.amounts import is_within, within_interval
from models.conditions.clauses import AbsentClause, EventClause
from models.conditions.entries import Newest
from models.conditions.leaf import LeafEvaluator, LeafReading, Occurrence, Person
from models.conditions.matching import event_test
from models.conditions.periods import ALWAYS, NEVER
from models.conditions.truth import Truth
from models.units import SECOND


class AgeEvaluator(LeafEvaluator):
    """The evaluation of ``last`` and ``first``: the age of one event. Without an event, the comparison is false."""

    def __init__(self, key: int, clause: EventClause, covered_from: int) -> None:
        super().__init__(key, clause, covered_from)
        bounds = clause.measure.bounds
        self.events = (clause.event,)
        self.low, self.high = bounds.low, bounds.high
        self._is_last = clause.measure.kind == "last"
        self._fits = event_test(clause.where)
        if covered_from > ALWAYS:
            self.known_at = NEVER if self.high is None else covered_from + self.high + 1

    def decode(self, content: bytes) -> Newest:
        """Decode the entry of the clause."""
        return Newest.decode(content)

    def observe(self, entry: Newest | None, occurrence: Occurrence, now: int, person: Person) -> Newest | None:
        """Keep the event if it is the newest or the first one."""
        if self._fits is not None and not self._fits(occurrence.event):
            return None
        at = occurrence.at
        if entry is not None and (at <= entry.at if self._is_last else at >= entry.at):
            return None
        return Newest(at, occurrence.mark)

    def weigh(self, entry: Newest) -> int:
        """Return the greatest size that the stored entry can have, bytes."""
        return 19

    def truth(self, entry: Newest | None, at: int, person: Person) -> Truth:
        """Compare the age."""
        since, is_covered = self.covered_from, self.is_covered(ALWAYS, person)
        if entry is None:
            if is_covered:
                return False
            return None if within_interval(at - since, None, self.low, self.high) is not False else False
        age = at - entry.at
        if is_covered or (self._is_last and entry.at > since):
            return is_within(age, self.low, self.high)
        if self._is_last:
            return within_interval(at - since, age, self.low, self.high)
        return within_interval(age, None, self.low, self.high)

    def instants(self, entry: Newest | None, at: int, person: Person) -> Iterator[int]:
        """Yield when the age reaches a bound."""
        begins = [] if entry is None else [entry.at]
        if not self.is_covered(ALWAYS, person):
            begins.append(self.covered_from)
        ages = ([] if self.low is None else [self.low]) + ([] if self.high is None else [self.high + 1])
        yield from sorted({begin + age for begin in begins for age in ages if begin + age > at})

    def read(self, entry: Newest | None, at: int, person: Person) -> LeafReading:
        """Return the age."""
        return LeafReading("never") if entry is None else LeafReading(written_age(at - entry.at), entry.at, entry.mark)


class AbsentEvaluator(LeafEvaluator):
    """The evaluation of ``absent``. Before the first such event there is no entry, because the first event counts."""

    def __init__(self, key: int, clause: AbsentClause, covered_from: int) -> None:
        super().__init__(key, clause, covered_from)
        self.events = (clause.event,)
        self.duration = clause.duration
        self.ages = (clause.duration,)
        if covered_from > ALWAYS:
            self.known_at = covered_from + clause.duration
        self._fits = event_test(clause.where)

    def decode(self, content: bytes) -> Newest:
        """Decode the entry of the clause."""
        return Newest.decode(content)

    def observe(self, entry: Newest | None, occurrence: Occurrence, now: int, person: Person) -> Newest | None:
        """Keep the event if it is the newest one."""
        if self._fits is not None and not self._fits(occurrence.event):
            return None
        if occurrence.at <= (person.known_since if entry is None else entry.at):
            return None
        return Newest(occurrence.at, occurrence.mark)

    def forget(self, entry: Newest, now: int, person: Person) -> Newest | None:
        """Keep the newest event, because the absence counts from it for ever."""
        return entry

    def _begin(self, entry: Newest | None, person: Person) -> int:
        return person.known_since if entry is None else max(entry.at, person.known_since)

    def weigh(self, entry: Newest) -> int:
        """Return the greatest size that the stored entry can have, bytes."""
        return 19

    def truth(self, entry: Newest | None, at: int, person: Person) -> Truth:
        """Return whether the duration has passed since the newest event."""
        if at - self._begin(entry, person) < self.duration:
            return False
        return True if self.is_covered(at - self.duration, person) else None

    def instants(self, entry: Newest | None, at: int, person: Person) -> Iterator[int]:
        """Yield when the duration has passed, and when the clause becomes covered."""
        found = {self._begin(entry, person) + self.duration}
        if person.known_since <= self.covered_from:
            found.add(self.covered_from + self.duration)
        yield from sorted(instant for instant in found if instant > at)

    def read(self, entry: Newest | None, at: int, person: Person) -> LeafReading:
        """Return the time since the newest event."""
        absent = written_age(at - self._begin(entry, person))
        if entry is None:
            return LeafReading(f"{absent}, since the user's first event", person.known_since)
        return LeafReading(absent, entry.at, entry.mark)


def written_age(age: int) -> str:
    """Return a duration for people, to the second.

    Examples
    --------
    >>> written_age(90_500), written_age(200)
    ('90s', '0s')
    """
    whole = age // SECOND * SECOND
    return durations.written(whole) if whole > 0 else "0s"
