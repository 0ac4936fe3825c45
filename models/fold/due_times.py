"""Queue of the users by their next timer, in nine bytes per user instead of ninety.

Most timers are due in some hours or days. They need no order before their time comes near, because the user's state
holds the exact time. So the timers of an hour are a bucket: a list of keys without an order. Only the nearest timers
are a heap of (due, key).

A bucket has at most :data:`MAX_KEYS` keys. If more timers are due in its time, the others are in narrower buckets, down
to a millisecond. So opening a bucket takes a millisecond or two, even if all users of a partition are due in the same
hour. Users who are due in the same millisecond are kept in order.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable

from models.fold.timer_buckets import MAX_KEYS, Bucket, Crowd, DividedBucket, discard_from
from models.profile.ledger import NEVER
from models.units import HOUR

Entry = tuple[int, bytes]

MAX_NEAR = 8 * MAX_KEYS
"""Maximum number of entries of the heap; an entry of the heap takes ten times the memory of one in a bucket."""


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
        self._until = 0  # all entries before this time are in the heap
        self._hours: dict[int, Bucket] = {}
        self._begins: list[int] = []
        self._earliest = NEVER
        self._firing: Crowd | None = None

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
            self._add_near(due, key)
            return
        after = due % HOUR
        bucket = self._hours.get(due - after)
        if isinstance(bucket, list):
            if len(bucket) < MAX_KEYS:
                bucket.append(key)
                return
            bucket = self._hours[due - after] = DividedBucket(bucket, 1)
        elif bucket is None:
            self._hours[due - after] = [key]
            heapq.heappush(self._begins, due - after)
            self._earliest = self._begins[0]
            return
        if not bucket.add(after, key):
            self._add_near(due, key)

    def __len__(self) -> int:
        return len(self._near) + sum(map(len, self._hours.values()))

    def may_be_due(self, now: int) -> bool:
        """Return whether a timer may be due at ``now``; the check is cheap, and ``False`` is always right."""
        return (self._near[0][0] if self._near else self._earliest) <= now

    def first(self) -> Entry | None:
        """Return the earliest entry without removing it; of several with the same time, the one with the lowest key."""
        while not self._near and self._begins:
            self._open()
        return self._near[0] if self._near else None

    def pop(self) -> Entry:
        """Remove the earliest entry and return it.

        Raises
        ------
        IndexError
            The queue is empty.
        """
        if self.first() is None:
            raise IndexError("the queue of timers is empty")
        return heapq.heappop(self._near)

    def discard(self, entries: Iterable[Entry]) -> None:
        """Remove entries that were added and are not valid any more; one that has left the queue is passed over."""
        unwanted = Counter(entries)
        near = [entry for entry in self._near if not _take(unwanted, entry)]
        if len(near) < len(self._near):
            heapq.heapify(near)
            self._near = near
        for due, key in unwanted.elements():
            bucket = self._hours.get(due - due % HOUR)
            if bucket is not None:
                discard_from(bucket, due % HOUR, key)

    # --- the heap --------------------------------------------------------------------------------------------------

    def _add_near(self, due: int, key: bytes) -> None:
        heapq.heappush(self._near, (due, key))
        if len(self._near) > MAX_NEAR:
            self._shorten()

    def _shorten(self) -> None:
        """Move the later half of the heap into buckets."""
        near = sorted(self._near)
        self._until = near[len(near) // 2][0]
        place = bisect_left(near, (self._until,))
        self._near = near[:place]
        if self._firing is not None:
            self._firing.is_firing, self._firing = False, None
        for due, key in near[place:]:
            self.add(due, key)

    # --- buckets ---------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Move the entries of the earliest list, or of the next block of a crowd, to the heap."""
        hour = begin = self._begins[0]
        bucket, width = self._hours[hour], HOUR
        parent, place = None, 0
        while isinstance(bucket, DividedBucket):
            for key in bucket.take_keys():
                for due in self._dues_within(key, begin, width):
                    bucket.add(due - begin, key)
            found = bucket.first_part()
            if found is None:
                break
            parent, (place, bucket) = bucket, found
            width = parent.width
            begin += place * width
        if isinstance(bucket, Crowd):
            self._fire(bucket, begin)
        elif isinstance(bucket, list):
            entries = [(due, key) for key in bucket for due in self._dues_within(key, begin, width)]
            heapq.heapify(entries)
            self._near, self._until = entries, begin + width
        if self._firing is not None:
            return
        if parent is not None:
            parent.remove_part(place)
        else:
            del self._hours[heapq.heappop(self._begins)]
            self._earliest = self._begins[0] if self._begins else NEVER

    def _fire(self, crowd: Crowd, due: int) -> None:
        """Move the next block of a crowd to the heap."""
        self._near = [(due, key) for key in crowd.take_block()]
        crowd.is_firing = bool(crowd)
        self._firing, self._until = (crowd, due) if crowd else (None, due + 1)

    def _dues_within(self, key: bytes, begin: int, width: int) -> list[int]:
        """Return the due times of a user's next timer that are in a bucket."""
        return [due for due in set(self._due_times_of(key)) if begin <= due < begin + width]


def _take(counted: Counter[Entry], entry: Entry) -> bool:
    """Return whether a multiset has an entry, and take it out once."""
    if counted[entry] > 0:
        counted[entry] -= 1
        return True
    return False
