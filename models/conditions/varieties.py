"""Evaluate how many different values a property had in a window."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator

from models.conditions.amounts import is_within, within_interval
from models.conditions.clauses import EventClause
from models.conditions.counts import kept, next_fall
from models.conditions.entries import Variety
from models.conditions.leaf import LeafReading, Occurrence, Person, WindowEvaluator
from models.conditions.matching import event_test, line_test
from models.conditions.properties import LINE, MAX_KEY, key_of, line_value, value_of
from models.conditions.truth import Truth
from models.events import Event

MAX_VALUES = 200
"""Maximum number of values per user of a clause with ``each`` above 1."""


class DistinctEvaluator(WindowEvaluator):
    """The evaluation of ``distinct``: the newest values are kept, each with its newest times."""

    def __init__(self, key: int, clause: EventClause, covered_from: int) -> None:
        super().__init__(key, clause, clause.window, covered_from)
        measure = clause.measure
        self.events = (clause.event,)
        self.bounds, self.each = measure.bounds, measure.each
        self.low, self.high = measure.bounds.low, measure.bounds.high
        self.keep = kept(measure.bounds) if measure.each == 1 else MAX_VALUES
        self._of = measure.of
        self._fits, self._line_fits = event_test(clause.where), line_test(clause.where)

    def decode(self, content: bytes) -> Variety:
        """Decode the entry of the clause."""
        return Variety.decode(content)

    def observe(self, entry: Variety | None, occurrence: Occurrence, now: int, person: Person) -> Variety | None:
        """Add the values of an event."""
        if self._fits is not None and not self._fits(occurrence.event):
            return None
        until, at = self.too_old(now, person), occurrence.at
        keys = self._keys(occurrence.event) if at > until else []
        if not keys:
            return None
        found = Variety() if entry is None else entry
        for key in keys:
            self._add(found, key, at)
        self.forget(found, now, person)
        while len(found.keys) > self.keep:
            least = min(range(len(found.keys)), key=_importance(found))
            del found.keys[least], found.times[least]
            found.is_approximate = found.is_approximate or self.each > 1
        return found

    def _keys(self, event: Event) -> list[str]:
        of = self._of
        if not of.startswith(LINE):
            key = key_of(value_of(event, of))
            return [] if key is None else [key]
        name, fits = of.removeprefix(LINE), self._line_fits
        found = (key_of(line_value(line, name)) for line in event.lines if fits is None or fits(line))
        return list(dict.fromkeys(key for key in found if key is not None))

    def _add(self, found: Variety, key: str, at: int) -> None:
        if key not in found.keys:
            found.keys.append(key)
            found.times.append([at])
            return
        times = found.times[found.keys.index(key)]
        insort(times, at)
        if len(times) > self.each:
            del times[0]

    def forget(self, entry: Variety, now: int, person: Person) -> Variety | None:
        """Remove values that have left the window."""
        until = self.too_old(now, person)
        if any(times[0] <= until for times in entry.times):
            left = [
                (key, [at for at in times if at > until]) for key, times in zip(entry.keys, entry.times, strict=True)
            ]
            entry.keys = [key for key, times in left if times]
            entry.times = [times for _, times in left if times]
        return entry if entry.keys else None

    def weigh(self, entry: Variety) -> int:
        """Return the greatest size that the stored entry can have, bytes."""
        return len(entry.keys) * (MAX_KEY + 3 + 9 * self.each)

    def shrink(self, entry: Variety) -> None:
        """Forget the older half of the values."""
        order = sorted(range(len(entry.keys)), key=_importance(entry))
        order = order[len(order) // 2 :]
        entry.keys, entry.times = [entry.keys[one] for one in order], [entry.times[one] for one in order]
        entry.is_approximate = True

    def _reached(self, entry: Variety | None) -> list[int]:
        """Return, ascending, the time of each value's event by which the value counts."""
        if entry is None:
            return []
        each = self.each
        return sorted(times[-each] for times in entry.times if len(times) >= each)

    def truth(self, entry: Variety | None, at: int, person: Person) -> Truth:
        """Compare the number of values."""
        begin = self.after(at, person)
        reached = self._reached(entry)
        number = len(reached) - bisect_right(reached, begin)
        if self.is_covered(begin, person):
            return is_within(number, self.low, self.high)
        return within_interval(number, None, self.low, self.high)

    def instants(self, entry: Variety | None, at: int, person: Person) -> Iterator[int]:
        """Yield when values leave the window."""
        reached = self._reached(entry)
        yield from self.leaving(reached, bisect_right(reached, self.after(at, person)), at, person)

    def next_change(self, entry: Variety | None, at: int, person: Person) -> int:
        """Return when the deciding value leaves the window, without trying each of them."""
        if entry is None or not self.length or not self.is_covered(at - self.length, person):
            return super().next_change(entry, at, person)
        return next_fall(self._reached(entry), at - self.length, self.bounds, self.length)

    def read(self, entry: Variety | None, at: int, person: Person) -> LeafReading:
        """Return the number of values, and the values."""
        begin, each = self.after(at, person), self.each
        counted = sorted(
            (times[-each], key)
            for key, times in zip(entry.keys if entry else (), entry.times if entry else (), strict=True)
            if len(times) >= each and times[-each] > begin
        )
        if entry is None or not counted:
            return LeafReading("0")
        shown = ", ".join(key.strip('"') for _, key in counted[-5:])
        return LeafReading(f"{len(counted)}: {shown}", counted[-1][0], None, entry.is_approximate)


def _importance(entry: Variety) -> Callable[[int], tuple[int, int, str]]:
    """Return the order in which values are forgotten: first those with the fewest events, of these the oldest."""
    return lambda one: (len(entry.times[one]), entry.times[one][-1], entry.keys[one])
