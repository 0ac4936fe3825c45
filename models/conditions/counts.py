"""Evaluate how often an event happened in a window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from models.conditions.amounts import Bounds, is_within, within_interval
from models.conditions.clauses import EventClause
from models.conditions.entries import Series
from models.conditions.leaf import LeafReading, Occurrence, Person, WindowEvaluator
from models.conditions.matching import event_test
from models.conditions.merging import merge
from models.conditions.periods import ALWAYS, NEVER
from models.conditions.truth import Truth


class TimesEvaluator(WindowEvaluator):
    """The evaluation of ``times``. The newest events are kept, as many as the bounds need."""

    def __init__(self, key: int, clause: EventClause, covered_from: int) -> None:
        super().__init__(key, clause, clause.window, covered_from)
        self.events = (clause.event,)
        self.bounds = clause.measure.bounds
        self.low, self.high = self.bounds.low, self.bounds.high
        self.keep = kept(self.bounds)
        self._fits = event_test(clause.where)
        self._has_gaps = clause.window.gaps is not None

    def truth(self, entry: Series | None, at: int, person: Person) -> Truth:
        """Compare the number of events in the window."""
        begin = self.after(at, person)
        number = 0 if entry is None else entry.count_from(bisect_right(entry.times, begin))
        if self.is_covered(begin, person):
            return is_within(number, self.low, self.high)
        return within_interval(number, None, self.low, self.high)

    def observe(self, entry: Series | None, occurrence: Occurrence, now: int, person: Person) -> Series | None:
        """Add an event."""
        if self._fits is not None and not self._fits(occurrence.event):
            return None
        until = self._too_old(now, person)
        if occurrence.at <= until:
            return None
        found = Series() if entry is None else entry
        found.insert(occurrence.at, occurrence.mark)
        found.forget(until)
        keep_newest(found, self.keep)
        return found

    def forget(self, entry: Series, now: int, person: Person) -> Series | None:
        """Remove events that have left the window."""
        entry.forget(self._too_old(now, person))
        return entry if entry.times else None

    def _too_old(self, now: int, person: Person) -> int:
        """Return a time such that older events never count again; a window in gaps may become longer."""
        return ALWAYS if self._has_gaps else self.too_old(now, person)

    def instants(self, entry: Series | None, at: int, person: Person) -> Iterator[int]:
        """Yield when events leave the window."""
        times = [] if entry is None else entry.times
        yield from self.leaving(times, bisect_right(times, self.after(at, person)), at, person)

    def next_change(self, entry: Series | None, at: int, person: Person) -> int:
        """Return when the deciding event leaves the window, without trying each of them."""
        if entry is None or not self.length or entry.counts or not self.is_covered(at - self.length, person):
            return super().next_change(entry, at, person)
        return next_fall(entry.times, at - self.length, self.bounds, self.length)

    def shrink(self, entry: Series) -> None:
        """Merge events into hours, days, or pairs."""
        merge(entry, sum)

    def read(self, entry: Series | None, at: int, person: Person) -> LeafReading:
        """Return the number of events."""
        begin = self.after(at, person)
        place = 0 if entry is None else bisect_right(entry.times, begin)
        number = 0 if entry is None else entry.count_from(place)
        more = " or more" if self.keep and number >= self.keep and (self.low != number or self.high is not None) else ""
        if entry is None or not number:
            return LeafReading(f"{number}")
        decides = max(place, len(entry.times) - max(self.low or 1, 1)) if not entry.counts else len(entry.times) - 1
        return LeafReading(f"{number}{more}", entry.times[decides], entry.marks[decides], entry.is_approximate)


def kept(bounds: Bounds) -> int:
    """Return the number of newest events or values that bounds need."""
    low, high = bounds.low, bounds.high
    return max(low or 0, 0 if high is None else high + 1, 1)


def next_fall(times: list[int], begin: int, bounds: Bounds, length: int) -> int:
    """Return when the number of times after a moving ``begin`` changes the answer of bounds; ``NEVER`` if never.

    Parameters
    ----------
    times
        Times, ascending; at most one more than the upper bound.
    begin
        Times after this are in the window.
    bounds
        Bounds of their number.
    length
        Length of the window.

    Examples
    --------
    >>> next_fall([1, 5, 7], 0, Bounds(at_least=2), 10)
    15
    """
    low, high = bounds.low or 0, bounds.high
    number = len(times) - bisect_right(times, begin)
    if high is not None and number > high:
        return times[len(times) - high - 1] + length
    if number >= low > 0:
        return times[len(times) - low] + length
    return NEVER


def keep_newest(series: Series, keep: int) -> None:
    """Remove the oldest events, as long as this number of newer events is kept."""
    if not series.counts:
        series.remove(0, len(series.times) - keep)
        return
    while len(series.times) > 1 and sum(series.counts[1:]) >= keep:
        series.remove(0, 1)
