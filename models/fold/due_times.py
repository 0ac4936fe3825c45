"""Queue of the users by their next timer, in nine bytes per user instead of ninety.

Most timers are due in some hours or days. They need no order before their hour begins, because the user's state holds
the exact time. So the timers of an hour are a list of keys. Only those of the nearest hour are a heap of (due, key).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from models.units import HOUR

Entry = tuple[int, bytes]


class DueTimes:
    """Priority queue of users by their next timer. Entries may be stale, but none is missing.

    Parameters
    ----------
    due_times_of
        A function that returns the due times of a user's next timer: in the stored state, and in the changed one.
    """

    def __init__(self, due_times_of: Callable[[bytes], Iterable[int]]) -> None:
        self._due_times_of = due_times_of
        self._near: list[Entry] = []
        self._later: defaultdict[int, list[bytes]] = defaultdict(list)
        self._hours: list[int] = []
        self._until = 0

    def __repr__(self) -> str:
        """Show the number of entries, and the number of sorted ones."""
        return f"DueTimes({len(self)} entries, {len(self._near)} sorted)"

    def add(self, due: int, key: bytes) -> None:
        """Add a user whose next timer is due at ``due``.

        Examples
        --------
        >>> times = DueTimes(lambda key: [{b"a": 5 * HOUR, b"b": 5 * HOUR - 1}[key]])
        >>> times.add(5 * HOUR, b"a")
        >>> times.add(5 * HOUR - 1, b"b")
        >>> times.first(), times.pop(), times.pop(), times.first()
        ((17999999, b'b'), (17999999, b'b'), (18000000, b'a'), None)
        """
        if due < self._until:
            heapq.heappush(self._near, (due, key))
            return
        hour = due // HOUR
        if hour not in self._later:
            heapq.heappush(self._hours, hour)
        self._later[hour].append(key)

    def __len__(self) -> int:
        return len(self._near) + sum(map(len, self._later.values()))

    def may_be_due(self, now: int) -> bool:
        """Return whether a timer may be due at ``now``; the check is cheap, and ``False`` is always right."""
        if self._near:
            return self._near[0][0] <= now
        return bool(self._hours) and self._hours[0] * HOUR <= now

    def first(self) -> Entry | None:
        """Return the earliest entry without removing it; of several with the same time, the one with the lowest key."""
        while not self._near and self._hours:
            self._open()
        return self._near[0] if self._near else None

    def pop(self) -> Entry:
        """Remove the earliest entry and return it.

        Raises
        ------
        IndexError
            The queue is empty.
        """
        first = self.first()
        if first is None:
            raise IndexError("the queue of timers is empty")
        return heapq.heappop(self._near)

    def discard(self, entries: Iterable[Entry]) -> None:
        """Remove entries that were added and are not valid any more; one that has left the queue is passed over."""
        unwanted = Counter(entries)
        if not unwanted:
            return
        hours = {due // HOUR for due, _ in unwanted if due >= self._until}
        near = [entry for entry in self._near if not _take(unwanted, entry)]
        if len(near) < len(self._near):
            heapq.heapify(near)
            self._near = near
        keys_by_hour = Counter[tuple[int, bytes]]()
        for (due, key), count in unwanted.items():
            keys_by_hour[due // HOUR, key] += count
        for hour in hours & self._later.keys():
            self._later[hour] = [key for key in self._later[hour] if not _take(keys_by_hour, (hour, key))]

    def _open(self) -> None:
        hour = heapq.heappop(self._hours)
        self._until = (hour + 1) * HOUR
        for key in self._later.pop(hour):
            for due in set(self._due_times_of(key)):
                if due // HOUR == hour:
                    self._near.append((due, key))
        heapq.heapify(self._near)


def _take(counted: Counter[Entry], entry: Entry) -> bool:
    """Return whether a multiset has an entry, and take it out once."""
    if counted[entry] > 0:
        counted[entry] -= 1
        return True
    return False
