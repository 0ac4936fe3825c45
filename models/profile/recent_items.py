"""The items that a user touched last, kept as columns: thirty objects a user would take three times as much.

What reads them gets :class:`Touch`, one at a time; what folds an event calls :meth:`Recent.add`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec


class Touch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A user's interaction with an item."""

    item: str
    weight: float
    at: int


class Recent(msgspec.Struct, array_like=True, gc=False):
    """Newest touches of a user in the order of time, oldest first.

    Attributes
    ----------
    at
        When the newest one was, milliseconds; 0 without any.
    items
        What was touched.
    weights
        How much each one says. A whole number is an integer, which takes a byte and not nine.
    gaps
        Milliseconds from each touch to the next one; one fewer than there are touches.
    """

    at: int = 0
    items: list[str] = []
    weights: list[int | float] = []
    gaps: list[int] = []

    @classmethod
    def of(cls, touches: Iterable[Touch]) -> Recent:
        """Columns of touches that come in the order of time.

        Examples
        --------
        >>> recent = Recent.of([Touch("mug", 1.0, 5), Touch("pot", 2.5, 9)])
        >>> recent
        Recent(at=9, items=['mug', 'pot'], weights=[1, 2.5], gaps=[4])
        >>> list(recent)
        [Touch(item='mug', weight=1.0, at=5), Touch(item='pot', weight=2.5, at=9)]
        """
        recent = cls()
        for touch in touches:
            recent.add(touch.item, touch.weight, touch.at)
        return recent

    def add(self, item: str, weight: float, at: int, most: int | None = None) -> None:
        """Put a touch into its place in time, behind those of the same moment; the oldest go where there are too many.

        Examples
        --------
        >>> recent = Recent.of([Touch("mug", 1.0, 5), Touch("pot", 1.0, 9)])
        >>> recent.add("pan", 3.0, 7, most=2)
        >>> recent
        Recent(at=9, items=['pan', 'pot'], weights=[3, 1], gaps=[2])
        """
        lean = int(weight) if weight.is_integer() else weight
        if at >= self.at or not self.items:
            if self.items:
                self.gaps.append(at - self.at)
            self.at = at
            self.items.append(item)
            self.weights.append(lean)
        else:
            times = self.times()
            place = bisect_right(times, at)
            times.insert(place, at)
            self.items.insert(place, item)
            self.weights.insert(place, lean)
            self.gaps = [after - before for before, after in pairwise(times)]
        if most is not None and len(self.items) > most:
            surplus = len(self.items) - most
            del self.items[:surplus], self.weights[:surplus], self.gaps[:surplus]

    def times(self) -> list[int]:
        """When each touch was, milliseconds."""
        at, times = self.at, [self.at] if self.items else []
        for gap in reversed(self.gaps):
            at -= gap
            times.append(at)
        times.reverse()
        return times

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Touch]:
        for item, weight, at in zip(self.items, self.weights, self.times(), strict=True):
            yield Touch(item, float(weight), at)

    def __reversed__(self) -> Iterator[Touch]:
        return reversed(list(self))

    def __getitem__(self, place: int) -> Touch:
        return list(self)[place]
