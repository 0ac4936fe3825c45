"""The times of a partition's deliveries: which deliveries can begin now, which later, and which have ended."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from models.delivery.deliveries import RETENTION_MS


class Timetable:
    """A queue of deliveries that can begin, and the timers of all others.

    An entry may be out of date, because nothing is removed when a delivery changes. The caller checks the delivery
    itself.
    """

    def __init__(self) -> None:
        self._ready: deque[bytes] = deque()
        self._due: list[tuple[int, bytes]] = []
        self._deadlines: list[tuple[int, bytes]] = []
        self._finished: deque[tuple[int, bytes]] = deque()

    def __repr__(self) -> str:
        return f"<Timetable ready={len(self._ready)}, due={len(self._due)}, finished={len(self._finished)}>"

    @property
    def ready(self) -> int:
        """Number of deliveries that can begin now."""
        return len(self._ready)

    def next_due(self, is_waiting: Callable[[bytes], bool]) -> int | None:
        """Return the time of the next timer, milliseconds; ``None`` without one.

        Parameters
        ----------
        is_waiting
            Returns whether a message still waits. The deadlines of messages that do not wait are dropped.
        """
        while self._deadlines and not is_waiting(self._deadlines[0][1]):
            heapq.heappop(self._deadlines)
        times = [heap[0][0] for heap in (self._due, self._deadlines) if heap]
        if self._finished:
            times.append(self._finished[0][0] + RETENTION_MS)
        return min(times, default=None)

    def restore(self, queued: Iterable[tuple[int, int, bytes]], finished: Iterable[tuple[int, bytes]]) -> None:
        """Enter the deliveries of a restored partition.

        Parameters
        ----------
        queued
            Due time (0 if it can begin immediately), time of arrival and key of each waiting delivery.
        finished
            Time of the end and key of each delivery that has ended.
        """
        ordered = sorted(queued)
        self._due.extend((due, key) for due, _, key in ordered if due)
        heapq.heapify(self._due)
        self._ready.extend(key for due, _, key in ordered if not due)
        self._finished.extend(sorted(finished))

    def add_ready(self, key: bytes) -> None:
        """Enter a delivery that can begin now, after all others that can begin."""
        self._ready.append(key)

    def add_due(self, at: int, key: bytes) -> None:
        """Enter a delivery that can begin at the time ``at``."""
        heapq.heappush(self._due, (at, key))

    def add_deadline(self, at: int, key: bytes) -> None:
        """Enter the deadline of a waiting message."""
        heapq.heappush(self._deadlines, (at, key))

    def add_finished(self, at: int, key: bytes) -> None:
        """Enter a delivery that has just ended."""
        self._finished.append((at, key))

    def take_ready(self) -> bytes:
        """Remove and return the delivery that has been ready for the longest time."""
        return self._ready.popleft()

    def take_due(self, now: int) -> Iterator[bytes]:
        """Remove and yield the deliveries that are due, including those that are entered meanwhile."""
        return _taken(self._due, now)

    def take_late(self, now: int) -> Iterator[bytes]:
        """Remove and yield the messages whose deadline has passed."""
        return _taken(self._deadlines, now)

    def take_old(self, now: int) -> Iterator[bytes]:
        """Remove and yield the deliveries that ended at least :data:`RETENTION_MS` ago."""
        while self._finished and self._finished[0][0] + RETENTION_MS <= now:
            yield self._finished.popleft()[1]


def _taken(heap: list[tuple[int, bytes]], now: int) -> Iterator[bytes]:
    while heap and heap[0][0] <= now:
        yield heapq.heappop(heap)[1]
