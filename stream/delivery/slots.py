"""Call slots of a provider: the lanes of a process share them, and wait for them in a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from stream.delivery.calls import CallKey

Wake: TypeAlias = Callable[[], None]
"""Asks a lane for its next step. It also identifies the lane in the queue."""


class Slots:
    """A fixed number of slots, each free, reserved by a lane, or held by a call.

    A call holds its slot until its result is committed. So there are never more attempts without a committed result
    than slots. A kill leaves at most as many unknown deliveries as there are slots.

    Parameters
    ----------
    number
        Number of slots.

    Examples
    --------
    >>> slots = Slots(3)
    >>> slots.take(2, lambda: None)
    2
    >>> slots.take(2, lambda: None)
    1
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._holders: set[CallKey] = set()
        self._queue: dict[Wake, None] = {}

    def __repr__(self) -> str:
        return f"<Slots free={self._free}, held={len(self._holders)}, lanes waiting={len(self._queue)}>"

    @property
    def held(self) -> int:
        """Number of slots that calls hold."""
        return len(self._holders)

    def take(self, wanted: int, wake: Wake, *, limit: int | None = None, ended: Iterable[CallKey] = ()) -> int:
        """Reserve slots, and return their number.

        A lane that gets fewer than it wanted enters the queue, after the lanes that wait already. Each lane gets at
        least one free slot, and at most its share among the lanes that wait.

        Parameters
        ----------
        wanted
            Number of slots that the lane could use now. With 0 it leaves the queue.
        wake
            Called once when a slot may be free again.
        limit
            Maximum number of slots to reserve now; ``None`` for any number.
        ended
            Calls whose results are committed together with the new attempts. If no other lane waits and there is no
            limit, their slots are reserved as well.
        """
        self._queue.pop(wake, None)
        if not wanted:
            return 0
        free = self._free if limit is None else min(limit, self._free)
        taken = min(wanted, max(1, free // (len(self._queue) + 1)) if free else 0)
        self._free -= taken
        if limit is None and not self._queue:
            taken += self._take_over(wanted - taken, ended)
        if taken < wanted:
            self._queue[wake] = None
        return taken

    def hold(self, key: CallKey) -> None:
        """Give a reserved slot to a call."""
        self._holders.add(key)

    def release(self, number: int) -> None:
        """Release reserved slots that no call needs."""
        self._free += number

    def release_held(self, key: CallKey) -> bool:
        """Release the slot of a call, and return whether it held one."""
        if key not in self._holders:
            return False
        self._holders.discard(key)
        self._free += 1
        return True

    def wake_lanes(self) -> None:
        """Wake as many of the lanes that wait as there are free slots."""
        for wake in list(self._queue)[: self._free]:
            del self._queue[wake]
            wake()

    def _take_over(self, most: int, ended: Iterable[CallKey]) -> int:
        keys = [key for key in ended if key in self._holders][:most]
        self._holders.difference_update(keys)
        return len(keys)
