"""Buckets of the queue of timers: keys of users without an order, until their time comes near.

A bucket with few keys is a plain list. A fuller one is divided into parts of a sixteenth, and so on. If even the keys
of a millisecond are too many for a list, they are kept in order.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import TypeAlias

from models.units import HOUR, MINUTE, SECOND

WIDTHS = (HOUR, 4 * MINUTE, 15 * SECOND, SECOND, 50, 1)
"""Widths of buckets, of their parts, of the parts of these, and so on, milliseconds; each is a multiple of the next."""
MAX_KEYS = 512
"""Maximum number of keys of a list; opening a bucket looks at the state of each user in its list."""


class DividedBucket:
    """A bucket with more keys than fit into a list. The keys that came first may be due at any time of the bucket.

    Parameters
    ----------
    keys
        These first keys.
    depth
        Index of the width of the parts.

    Attributes
    ----------
    width
        Width of a part, milliseconds.
    """

    __slots__ = ("_depth", "_keys", "_parts", "width")

    def __init__(self, keys: list[bytes], depth: int) -> None:
        self._keys = keys
        self._depth = depth
        self.width = WIDTHS[depth]
        self._parts: list[Bucket | None] = [None] * (WIDTHS[depth - 1] // self.width)

    def __len__(self) -> int:
        return len(self._keys) + sum(len(part) for part in self._parts if part is not None)

    def add(self, after: int, key: bytes) -> bool:
        """Add a key to a part.

        Parameters
        ----------
        after
            Time from the begin of the bucket to the due time, milliseconds.
        key
            The key.

        Returns
        -------
        bool
            ``False`` if the entry belongs to the heap, because it comes before the others of a crowd that fires now.
        """
        place = after // self.width
        part = self._parts[place]
        if isinstance(part, list):
            if len(part) < MAX_KEYS:
                part.append(key)
                return True
            depth = self._depth + 1
            part = self._parts[place] = DividedBucket(part, depth) if depth < len(WIDTHS) else Crowd(part)
        elif part is None:
            self._parts[place] = [key]
            return True
        return part.add(after % self.width, key)

    def discard(self, after: int, key: bytes) -> bool:
        """Remove a key once, and return whether it was there.

        The parts are tried first. A first key may be due at any time, so it can stand for an entry of its user in any
        part. A key in a part cannot stand for one outside this part.
        """
        part = self._parts[after // self.width]
        return (part is not None and discard_from(part, after % self.width, key)) or _discard(self._keys, key)

    def take_keys(self) -> list[bytes]:
        """Remove the first keys, and return them; the caller adds them to the parts."""
        keys, self._keys = self._keys, []
        return keys

    def first_part(self) -> tuple[int, Bucket] | None:
        """Return the earliest part and the number of parts before it; ``None`` if there is no part."""
        for place, part in enumerate(self._parts):
            if part is not None:
                return place, part
        return None

    def remove_part(self, place: int) -> None:
        """Remove a part."""
        self._parts[place] = None


class Crowd:
    """The keys of many users who are due at the same millisecond, sorted, in blocks.

    Parameters
    ----------
    keys
        The first keys.

    Attributes
    ----------
    is_firing
        Whether the heap has the lowest keys.
    """

    __slots__ = ("_blocks", "_firsts", "is_firing")

    def __init__(self, keys: list[bytes]) -> None:
        self._blocks = [sorted(keys)]
        self._firsts = [self._blocks[0][0]]
        self.is_firing = False

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def add(self, _after: int, key: bytes) -> bool:
        """Add a key, unless it belongs to the heap, see :meth:`DividedBucket.add`."""
        blocks, firsts = self._blocks, self._firsts
        place = bisect_right(firsts, key) - 1
        if place < 0:
            if self.is_firing:
                return False
            place, firsts[:1] = 0, [key]
            blocks[:0] = [] if blocks else [[]]
        block = blocks[place]
        insort(block, key)
        if len(block) > MAX_KEYS:
            half = len(block) // 2
            blocks[place : place + 1] = block[:half], block[half:]
            firsts.insert(place + 1, block[half])
        return True

    def discard(self, _after: int, key: bytes) -> bool:
        """Remove a key once, and return whether it was there."""
        place = bisect_right(self._firsts, key) - 1
        if place < 0 or not _discard(self._blocks[place], key):
            return False
        if not self._blocks[place]:
            del self._blocks[place], self._firsts[place]
        return True

    def take_block(self) -> list[bytes]:
        """Remove the lowest keys, and return them in order."""
        del self._firsts[:1]
        return self._blocks.pop(0) if self._blocks else []


Bucket: TypeAlias = list[bytes] | DividedBucket | Crowd
"""A bucket, or a part of one."""


def discard_from(bucket: Bucket, after: int, key: bytes) -> bool:
    """Remove a key from a bucket once, and return whether it was there; see :meth:`DividedBucket.discard`."""
    return _discard(bucket, key) if isinstance(bucket, list) else bucket.discard(after, key)


def _discard(keys: list[bytes], key: bytes) -> bool:
    if key not in keys:
        return False
    keys.remove(key)
    return True
