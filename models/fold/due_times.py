"""Which users have a timer that comes due next, in nine bytes a user instead of ninety.

Most timers are due in some hours or days. Until their hour has come they need no order, and a user's state says itself
when the next one is due: so those of an hour are a list of keys. The nearest hour alone is a heap of (due, key).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable

from models.units import HOUR

Entry = tuple[int, bytes]


class DueTimes:
    """Users by when their next timer is due. What is noted here may be out of date, and is never missing.

    Parameters
    ----------
    dues
        When a user's next timer is due, by the states that count: as stored, and as changed since.
    """

    def __init__(self, dues: Callable[[bytes], Iterable[int]]) -> None:
        self._dues = dues
        self._near: list[Entry] = []
        self._later: defaultdict[int, list[bytes]] = defaultdict(list)
        self._hours: list[int] = []
        self._until = 0

    def note(self, due: int, key: bytes) -> None:
        """Remember that this user has a timer then.

        Examples
        --------
        >>> times = DueTimes(lambda key: [{b"a": 5 * HOUR, b"b": 5 * HOUR - 1}[key]])
        >>> times.note(5 * HOUR, b"a")
        >>> times.note(5 * HOUR - 1, b"b")
        >>> times.first(), times.take(), times.take(), times.first()
        ((17999999, b'b'), (17999999, b'b'), (18000000, b'a'), None)
        """
        if due < self._until:
            heapq.heappush(self._near, (due, key))
            return
        hour = due // HOUR
        keys = self._later[hour]
        if not keys:
            heapq.heappush(self._hours, hour)
        keys.append(key)

    def __len__(self) -> int:
        return len(self._near) + sum(map(len, self._later.values()))

    def before(self, now: int) -> bool:
        """Whether anything may be due until ``now``; cheap, and right where it says no."""
        if self._near:
            return self._near[0][0] <= now
        return bool(self._hours) and self._hours[0] * HOUR <= now

    def first(self) -> Entry | None:
        """The earliest one, of several at once the one of the smallest key; it stays."""
        while not self._near and self._hours:
            self._open()
        return self._near[0] if self._near else None

    def take(self) -> Entry:
        """Take the earliest one out; there has to be one."""
        first = self.first()
        if first is None:
            raise IndexError("no timer is noted")
        return heapq.heappop(self._near)

    def _open(self) -> None:
        hour = heapq.heappop(self._hours)
        self._until = (hour + 1) * HOUR
        for key in self._later.pop(hour):
            for due in set(self._dues(key)):
                if due // HOUR == hour:
                    self._near.append((due, key))
        heapq.heapify(self._near)
