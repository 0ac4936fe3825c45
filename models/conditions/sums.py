"""Evaluate the sum, the average, the largest and the smallest value of a property in a window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from math import inf

from models.conditions.amounts import MICROS, Bounds, is_within, micros_of, within_interval, written_micros
from models.conditions.clauses import EventClause
from models.conditions.entries import Series
from models.conditions.leaf import LeafReading, Occurrence, Person, WindowEvaluator
from models.conditions.matching import event_test, line_test
from models.conditions.merging import MAX_SUM, Combine, merge, merge_oldest
from models.conditions.periods import NEVER
from models.conditions.properties import LINE, MONEY, line_value, value_of
from models.conditions.truth import Truth
from models.events import Event

MAX_ENTRIES = 4_096
"""Maximum number of entries of one clause and user. Above it, the two oldest are merged."""


class AmountEvaluator(WindowEvaluator):
    """The base of clauses on the values of a property.

    Attributes
    ----------
    combine
        How values are merged to bound the state.
    """

    combine: Combine = sum

    def __init__(self, key: int, clause: EventClause, covered_from: int) -> None:
        super().__init__(key, clause, clause.window, covered_from)
        measure = clause.measure
        self.events = (clause.event, "refund") if measure.is_net else (clause.event,)
        self.low, self.high = measure.bounds.low, measure.bounds.high
        self.is_endless = clause.window.kind in ("ever", "since", "entry")
        self._event, self._of, self._currency = clause.event, measure.of, measure.currency
        self._fits, self._line_fits = event_test(clause.where), line_test(clause.where)

    def amount_of(self, event: Event) -> int | None:
        """Return what an event adds, in units of 10^-6; ``None`` if it does not count."""
        if self._currency is not None and event.currency != self._currency:
            return None
        if self._fits is not None and not self._fits(event):
            return None
        of = self._of
        if of.startswith(LINE):
            found = self._lines(event, of.removeprefix(LINE), is_money=of in MONEY)
        else:
            value = value_of(event, of)
            found = value if of in MONEY else micros_of(value)
        if found is None or not -MAX_SUM < found < MAX_SUM:
            return None
        return -found if event.type == "refund" and self._event == "purchase" else found

    def _lines(self, event: Event, name: str, *, is_money: bool) -> int | None:
        total: int | None = None
        for line in event.lines:
            if self._line_fits is None or self._line_fits(line):
                value = line_value(line, name)
                amount = value if is_money else micros_of(value)
                if amount is not None:
                    total = amount + (total or 0)
        return total

    def forget(self, entry: Series, now: int, person: Person) -> Series | None:
        """Remove events that have left the window."""
        entry.forget(self.too_old(now, person))
        return entry if entry.times else None

    def shrink(self, entry: Series) -> None:
        """Merge events into hours, days, or pairs."""
        merge(entry, self.combine)

    def instants(self, entry: Series | None, at: int, person: Person) -> Iterator[int]:
        """Yield when events leave the window."""
        times = [] if entry is None else entry.times
        yield from self.leaving(times, bisect_right(times, self.after(at, person)), at, person)


class SumEvaluator(AmountEvaluator):
    """The evaluation of ``sum`` and ``average``."""

    def __init__(self, key: int, clause: EventClause, covered_from: int) -> None:
        super().__init__(key, clause, covered_from)
        self._is_average = clause.measure.kind == "average"
        self._bounds = clause.measure.bounds
        self._least, self._greatest = _strict(clause.measure.bounds)

    def observe(self, entry: Series | None, occurrence: Occurrence, now: int, person: Person) -> Series | None:
        """Add an event."""
        amount, until = self.amount_of(occurrence.event), self.too_old(now, person)
        if amount is None or occurrence.at <= until:
            return None
        found = Series() if entry is None else entry
        if self.is_endless and found.times:
            _join(found, occurrence, amount)
            return found
        found.insert(occurrence.at, occurrence.mark, amount)
        if self.is_endless:
            found.counts = [1]
        found.forget(until)
        if len(found.times) > MAX_ENTRIES:
            merge_oldest(found, self.combine)
        return found

    def truth(self, entry: Series | None, at: int, person: Person) -> Truth:
        """Compare the sum or the average; no value has the sum 0, and no average."""
        begin = self.after(at, person)
        if not self.is_covered(begin, person):
            return None
        return self._holds(*self._total(entry, begin))

    def _holds(self, total: int, number: int) -> bool:
        if not self._is_average:
            return is_within(total, self.low, self.high)
        if not number:
            return False
        bounds = self._bounds
        return (
            (bounds.at_least is None or total >= bounds.at_least * number)
            and (bounds.more_than is None or total > bounds.more_than * number)
            and (bounds.at_most is None or total <= bounds.at_most * number)
            and (bounds.less_than is None or total < bounds.less_than * number)
        )

    def next_change(self, entry: Series | None, at: int, person: Person) -> int:
        """Return when the deciding event leaves the window, with one subtraction for each event before it."""
        begin = at - self.length
        if entry is None or not self.length or entry.counts or not self.is_covered(begin, person):
            return super().next_change(entry, at, person)
        times, values = entry.times, entry.values
        place = bisect_right(times, begin)
        number, total = len(times) - place, sum(values[place:])
        present = self._holds(total, number)
        if not present and self.high is None and not self._is_average and min(values, default=0) >= 0:
            return NEVER  # the sum can only fall
        for i in self._differing(values, place, total, present=present):
            if i + 1 == len(times) or times[i + 1] != times[i]:
                return times[i] + self.length
        return NEVER

    def _differing(self, values: list[int], place: int, total: int, *, present: bool) -> Iterator[int]:
        """Yield each index such that the truth without the values up to it is not the present one.

        An average of n values is at least b if their sum less n x b is at least 0. So the loop has two subtractions for
        each value, for averages too.
        """
        end, above, below, low, high = len(values), inf, inf, 0, 0
        number = end - place if self._is_average else 1
        if self._least is not None:
            low, extra = self._least
            above = total - low * number - extra
        if self._greatest is not None:
            high, extra = self._greatest
            below = high * number - extra - total
        if not self._is_average:
            low = high = 0
        for i in range(place, end - self._is_average):
            above -= values[i] - low
            below += values[i] - high
            if (above >= 0 and below >= 0) is not present:
                yield i
        if self._is_average and present:
            yield end - 1  # no value has no average

    def _total(self, entry: Series | None, begin: int) -> tuple[int, int]:
        if entry is None:
            return 0, 0
        place = bisect_right(entry.times, begin)
        return sum(entry.values[place:]), entry.count_from(place)

    def read(self, entry: Series | None, at: int, person: Person) -> LeafReading:
        """Return the sum or the average."""
        total, number = self._total(entry, self.after(at, person))
        if self._is_average:
            value = f"{total / number / MICROS:.2f}" if number else "no value"
        else:
            value = str(written_micros(total))
        if entry is None or not number:
            return LeafReading(value)
        return LeafReading(value, entry.times[-1], entry.marks[-1], entry.is_approximate)


class ExtremeEvaluator(AmountEvaluator):
    """The evaluation of ``largest`` and ``smallest``, in a queue of those values that may still become the extreme."""

    def __init__(self, key: int, clause: EventClause, covered_from: int) -> None:
        super().__init__(key, clause, covered_from)
        self._sign = 1 if clause.measure.kind == "largest" else -1
        self.combine = max if self._sign > 0 else min

    def observe(self, entry: Series | None, occurrence: Occurrence, now: int, person: Person) -> Series | None:
        """Add an event, unless a later one has a more extreme value."""
        amount, until, sign = self.amount_of(occurrence.event), self.too_old(now, person), self._sign
        if amount is None or occurrence.at <= until:
            return None
        found = Series() if entry is None else entry
        times, values = found.times, found.values
        place = bisect_right(times, occurrence.at)
        later = place - 1 if place and times[place - 1] == occurrence.at else place
        if later < len(values) and values[later] * sign >= amount * sign:
            return None
        if self.is_endless:
            if values and values[0] * sign >= amount * sign:
                return None
            found.remove(0, len(times))
        found.insert(occurrence.at, occurrence.mark, amount)
        place = bisect_right(found.times, occurrence.at) - 1
        first = place
        while first and found.values[first - 1] * sign <= amount * sign:
            first -= 1
        found.remove(first, place)
        found.forget(until)
        if len(found.times) > MAX_ENTRIES:
            merge_oldest(found, self.combine)
        return found

    def _extreme(self, entry: Series | None, begin: int) -> int | None:
        """Return the index of the extreme; ``None`` if the window is empty."""
        place = 0 if entry is None else bisect_right(entry.times, begin)
        return None if entry is None or place == len(entry.times) else place

    def truth(self, entry: Series | None, at: int, person: Person) -> Truth:
        """Compare the extreme; without a value, the comparison is false."""
        begin = self.after(at, person)
        place = self._extreme(entry, begin)
        covered = self.is_covered(begin, person)
        if place is None:
            return False if covered else None
        assert entry is not None
        value = entry.values[place]
        if covered:
            return is_within(value, self.low, self.high)
        if self._sign > 0:
            return within_interval(value, None, self.low, self.high)
        low, high = self.low, self.high
        return within_interval(-value, None, None if high is None else -high, None if low is None else -low)

    def read(self, entry: Series | None, at: int, person: Person) -> LeafReading:
        """Return the extreme."""
        place = self._extreme(entry, self.after(at, person))
        if entry is None or place is None:
            return LeafReading("no value")
        value = str(written_micros(entry.values[place]))
        return LeafReading(value, entry.times[place], entry.marks[place], entry.is_approximate)


def _join(series: Series, occurrence: Occurrence, amount: int) -> None:
    """Add an event to the only entry of a series that never ends; this is exact."""
    total = series.values[0] + amount
    if not -MAX_SUM <= total <= MAX_SUM:
        series.is_approximate = True
        return
    series.values[0] = total
    series.counts[0] += 1
    if occurrence.at >= series.times[0]:
        series.times[0], series.marks[0] = occurrence.at, occurrence.mark


def _strict(bounds: Bounds) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return the lower and the upper bound, each with 1 if it is exclusive and 0 otherwise."""
    lower = [(bound, extra) for bound, extra in ((bounds.at_least, 0), (bounds.more_than, 1)) if bound is not None]
    upper = [(bound, -extra) for bound, extra in ((bounds.at_most, 0), (bounds.less_than, 1)) if bound is not None]
    greatest = min(upper, default=None)
    return max(lower, default=None), None if greatest is None else (greatest[0], -greatest[1])
