"""The entries of clauses: their memory of one user, and its compact bytes.

Times are stored as differences, which need 5 bytes for up to 49 days and fewer for shorter ones. Beside each time there
are 4 bytes of a digest of the event's id. So the entries of two users can be united by event.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from itertools import accumulate
from operator import sub
from typing import TypeAlias

import msgspec

_encode = msgspec.msgpack.Encoder().encode


def mark_of(event_id: str) -> int:
    """Return 4 bytes of a digest of an event's id, as a number."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=4).digest(), "big")


def _differences(times: list[int]) -> list[int]:
    return [*times[:1], *map(sub, times[1:], times)]


class _Series(msgspec.Struct, array_like=True, gc=False, omit_defaults=True):
    times: list[int]
    marks: list[int]
    values: list[int] = []
    counts: list[int] = []
    approximate: bool = False


_series = msgspec.msgpack.Decoder(_Series).decode
_variety = msgspec.msgpack.Decoder(tuple[list[str], list[list[int]], bool]).decode
_newest = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Series:
    """Events in the order of time, each with a value if the clause needs one.

    Attributes
    ----------
    times, marks
        Time of each event, and the mark of its id.
    values
        Value of each event; empty if the clause only counts.
    counts
        Number of events of each entry; empty if each entry is one event.
    is_approximate
        Whether events were merged to bound the state.
    """

    __slots__ = ("counts", "is_approximate", "marks", "times", "values")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.marks: list[int] = []
        self.values: list[int] = []
        self.counts: list[int] = []
        self.is_approximate = False

    def __repr__(self) -> str:
        """Show the times."""
        return f"Series({self.times})"

    @classmethod
    def decode(cls, content: bytes) -> Series:
        """Decode the bytes of :meth:`encode`."""
        stored, found = _series(content), cls()
        found.times, found.marks = list(accumulate(stored.times)), stored.marks
        found.values, found.counts, found.is_approximate = stored.values, stored.counts, stored.approximate
        return found

    def encode(self) -> bytes:
        """Return the bytes in which the series is stored."""
        times = _differences(self.times)
        if self.is_approximate or self.counts:
            return _encode((times, self.marks, self.values, self.counts, self.is_approximate))
        return _encode((times, self.marks, self.values) if self.values else (times, self.marks))

    def insert(self, at: int, mark: int, value: int | None = None) -> int:
        """Insert an event at its place in time, and return its index."""
        times = self.times
        place = len(times) if not times or at >= times[-1] else bisect_right(times, at)
        times.insert(place, at)
        self.marks.insert(place, mark)
        if value is not None:
            self.values.insert(place, value)
        if self.counts:
            self.counts.insert(place, 1)
        return place

    def remove(self, begin: int, end: int) -> None:
        """Remove the entries from ``begin`` to before ``end``."""
        if end > begin:
            del self.times[begin:end], self.marks[begin:end], self.values[begin:end], self.counts[begin:end]

    def forget(self, until: int) -> None:
        """Remove the entries whose time is not after ``until``."""
        if self.times and self.times[0] <= until:
            self.remove(0, bisect_right(self.times, until))

    def count_from(self, place: int) -> int:
        """Return the number of events from an index on."""
        return sum(self.counts[place:]) if self.counts else len(self.times) - place


class Variety:
    """The newest times at which each value was seen.

    Attributes
    ----------
    keys
        The values, as texts.
    times
        The newest times of each value, oldest first.
    is_approximate
        Whether values were forgotten to bound the state.
    """

    __slots__ = ("is_approximate", "keys", "times")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.times: list[list[int]] = []
        self.is_approximate = False

    def __repr__(self) -> str:
        """Show the values."""
        return f"Variety({self.keys})"

    @classmethod
    def decode(cls, content: bytes) -> Variety:
        """Decode the bytes of :meth:`encode`."""
        stored, found = _variety(content), cls()
        found.keys, found.is_approximate = stored[0], stored[2]
        newest = accumulate(times[-1] for times in stored[1])
        found.times = [
            [*reversed([*accumulate([last, *reversed(times[:-1])], sub)])]
            for last, times in zip(newest, stored[1], strict=True)
        ]
        return found

    def encode(self) -> bytes:
        """Return the bytes in which the values are stored."""
        order = sorted(range(len(self.keys)), key=lambda one: (self.times[one][-1], self.keys[one]))
        times, before = [], 0
        for one in order:
            own = self.times[one]
            times.append([*map(sub, own[1:], own), own[-1] - before])
            before = own[-1]
        return _encode(([self.keys[one] for one in order], times, self.is_approximate))


class Newest:
    """The one event that decides: the newest or the first.

    Attributes
    ----------
    at, mark
        Its time, and the mark of its id.
    """

    __slots__ = ("at", "mark")

    def __init__(self, at: int, mark: int) -> None:
        self.at = at
        self.mark = mark

    def __repr__(self) -> str:
        """Show the time."""
        return f"Newest({self.at})"

    @classmethod
    def decode(cls, content: bytes) -> Newest:
        """Decode the bytes of :meth:`encode`."""
        return cls(*_newest(content))

    def encode(self) -> bytes:
        """Return the bytes in which the event is stored."""
        return _encode((self.at, self.mark))


class Held:
    """The mark of a condition with hysteresis that holds."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Name the mark."""
        return "Held()"

    @classmethod
    def decode(cls, content: bytes) -> Held:
        """Return the mark."""
        return HELD

    def encode(self) -> bytes:
        """Return the bytes in which the mark is stored."""
        return b""


HELD = Held()

Partial: TypeAlias = tuple[int, int, tuple[str | None, ...]]
"""Begin and newest time of a partial match of a sequence, and the values that later steps refer to."""
Seen: TypeAlias = tuple[int, int, bool, tuple[str | None, ...]]
"""Time of an event, the steps that it fits as bits, whether it ends all matches, and its values."""

_track = msgspec.msgpack.Decoder(tuple[int, list[list[Partial]], list[Seen], bool]).decode


class Track:
    """The partial matches of a sequence.

    Attributes
    ----------
    newest
        Time of the newest event that fits a step or ends a match.
    settled
        The partial matches of each step, by events whose order cannot change any more.
    recent
        Events whose order may still change, in the order of time.
    is_approximate
        Whether matches were forgotten, or events settled early, to bound the state.
    matches
        The partial matches of each step by all events; ``None`` until they are needed. They are not stored.
    """

    __slots__ = ("is_approximate", "matches", "newest", "recent", "settled")

    def __init__(self, steps: int) -> None:
        self.newest = 0
        self.settled: list[list[Partial]] = [[] for _ in range(steps)]
        self.recent: list[Seen] = []
        self.is_approximate = False
        self.matches: list[list[Partial]] | None = None

    def __repr__(self) -> str:
        """Show the amounts kept."""
        return f"Track({[len(step) for step in self.settled]} settled, {len(self.recent)} recent)"

    @classmethod
    def decode(cls, content: bytes) -> Track:
        """Decode the bytes of :meth:`encode`."""
        newest, settled, recent, is_approximate = _track(content)
        found = cls(0)
        found.newest, found.is_approximate = newest, is_approximate
        found.settled = [[(newest - begin, newest - last, of) for begin, last, of in step] for step in settled]
        found.recent = [(newest - at, fits, ends, values) for at, fits, ends, values in recent]
        return found

    def encode(self) -> bytes:
        """Return the bytes in which the matches are stored."""
        newest = self.newest
        settled = [[(newest - begin, newest - last, of) for begin, last, of in step] for step in self.settled]
        recent = [(newest - at, fits, ends, values) for at, fits, ends, values in self.recent]
        return _encode((newest, settled, recent, self.is_approximate))


Entry: TypeAlias = Series | Variety | Newest | Held | Track
