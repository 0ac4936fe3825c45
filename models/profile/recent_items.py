"""The items that a user interacted with last, stored as columns: thirty objects would take three times as much memory.

Readers get :class:`RecentItem`, one at a time. The fold of an event calls :meth:`RecentItems.add`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec


class RecentItem(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A user's interaction with an item.

    Attributes
    ----------
    item
        Id of the item.
    weight
        Strength of the interaction, see ``recommend.interactions``.
    at
        Time of the interaction, milliseconds.
    """

    item: str
    weight: float
    at: int


class RecentItems(msgspec.Struct, array_like=True, gc=False):
    """The newest interactions of a user, oldest first.

    Attributes
    ----------
    at
        Time of the newest one, milliseconds; 0 without any.
    items
        Ids of the items.
    weights
        Strength of each interaction. A whole number is stored as an integer, which takes one byte and not nine.
    gaps
        Milliseconds from each interaction to the next one; one fewer than there are interactions.
    """

    at: int = 0
    items: list[str] = []
    weights: list[int | float] = []
    gaps: list[int] = []

    @classmethod
    def of(cls, items: Iterable[RecentItem]) -> RecentItems:
        """Build the columns from interactions in the order of time.

        Examples
        --------
        >>> recent = RecentItems.of([RecentItem("mug", 1.0, 5), RecentItem("pot", 2.5, 9)])
        >>> recent
        RecentItems(at=9, items=['mug', 'pot'], weights=[1, 2.5], gaps=[4])
        >>> list(recent)
        [RecentItem(item='mug', weight=1.0, at=5), RecentItem(item='pot', weight=2.5, at=9)]
        """
        recent = cls()
        for one in items:
            recent.add(one.item, one.weight, one.at)
        return recent

    def add(self, item: str, weight: float, at: int, limit: int | None = None) -> None:
        """Insert an interaction in the order of time, after those of the same time; remove the oldest above the limit.

        Examples
        --------
        >>> recent = RecentItems.of([RecentItem("mug", 1.0, 5), RecentItem("pot", 1.0, 9)])
        >>> recent.add("pan", 3.0, 7, limit=2)
        >>> recent
        RecentItems(at=9, items=['pan', 'pot'], weights=[3, 1], gaps=[2])
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
        if limit is not None and len(self.items) > limit:
            surplus = len(self.items) - limit
            del self.items[:surplus], self.weights[:surplus], self.gaps[:surplus]

    def times(self) -> list[int]:
        """Return the time of each interaction, milliseconds, oldest first."""
        at, times = self.at, [self.at] if self.items else []
        for gap in reversed(self.gaps):
            at -= gap
            times.append(at)
        times.reverse()
        return times

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[RecentItem]:
        for item, weight, at in zip(self.items, self.weights, self.times(), strict=True):
            yield RecentItem(item, float(weight), at)

    def __reversed__(self) -> Iterator[RecentItem]:
        return reversed(list(self))

    def __getitem__(self, place: int) -> RecentItem:
        return list(self)[place]
