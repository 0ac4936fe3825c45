"""Which events a user's state has seen: a repeat is known by its id for as long as one could be folded at all.

Two rules make it exact. A repeat that comes within the horizon (``events.horizon``, of the partition's clock) after the
first one is known by its id, whatever its time says. Beyond it an event is refused as ``too_late`` when its time lies
before the clock less the horizon, and an id is forgotten only when every event that could still carry it with its own
time would be refused so: it is kept until the later of its arrival and its time lies before that line.

An id is 8 bytes of BLAKE2b. Two different ids of one user are taken for the same with a probability of n / 2^64 at each
event, n being the ids remembered: below one in 2 x 10^15 for the fullest memory there can be.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from models.units import HOUR

WIDTH = 8
"""Bytes of a digest."""

REMEMBERED = 8_192
"""At most so many ids a user, 64 KiB. Who sends more within the horizon is remembered for less long."""

BUCKET = 512
"""So many ids, or an hour's, are forgotten together."""


class SeenIds(msgspec.Struct, array_like=True, gc=False):
    """The ids of one user's events, oldest first.

    Attributes
    ----------
    floor
        Events older than this are refused although the horizon would let them in: ids of its time had to be forgotten,
        because there were too many. 0 for nearly everybody. Milliseconds.
    marks
        Two numbers a bucket, oldest first: how many ids are in it, and the newest of the times at which they came or
        happened, milliseconds.
    digests
        ``WIDTH`` bytes an id, in the order in which they came.
    """

    floor: int = 0
    marks: list[int] = []
    digests: bytes = b""

    def __len__(self) -> int:
        return len(self.digests) // WIDTH


def digest_of(message_id: str) -> bytes:
    """What is remembered of a ``messageId``."""
    return blake2b(message_id.encode(), digest_size=WIDTH).digest()


def knows(ids: SeenIds, digest: bytes) -> bool:
    """Whether an event of that id was folded.

    Examples
    --------
    >>> ids = SeenIds()
    >>> _ = remember(ids, digest_of("m1"), now=5, at=5)
    >>> knows(ids, digest_of("m1")), knows(ids, digest_of("m2"))
    (True, False)
    """
    place = ids.digests.find(digest)
    while place >= 0:
        if place % WIDTH == 0:
            return True
        place = ids.digests.find(digest, place + 1)
    return False


def remember(ids: SeenIds, digest: bytes, now: int, at: int) -> int:
    """Note an event that has been folded.

    Parameters
    ----------
    ids
        Changed in place.
    digest
        See :func:`digest_of`.
    now
        Of the partition's clock, milliseconds.
    at
        When it happened, which may be ahead of the clock.

    Returns
    -------
    int
        How many other ids had to be forgotten before their time. Events that could carry them are refused from now on
        (``floor``), but for those whose time was ahead of the clock, and those that carry another time when they come
        again.
    """
    marks, time = ids.marks, max(now, at)
    forgotten = 0
    if len(ids.digests) >= REMEMBERED * WIDTH:
        forgotten, until = marks[0], marks[1]
        _drop(ids, 1)
        if until <= now:
            ids.floor = max(ids.floor, until + 1)
    if marks and marks[-2] < BUCKET and time // HOUR <= marks[-1] // HOUR:
        marks[-2] += 1
        marks[-1] = max(marks[-1], time)
    else:
        marks += (1, time)
    ids.digests += digest
    return forgotten


def forget(ids: SeenIds, floor: int) -> None:
    """Let go of the ids that only events from before ``floor`` can carry: those are refused.

    Examples
    --------
    >>> ids = SeenIds()
    >>> _ = remember(ids, digest_of("m1"), now=5, at=9)
    >>> forget(ids, 9)
    >>> len(ids)
    1
    >>> forget(ids, 10)
    >>> len(ids)
    0
    """
    marks, past = ids.marks, 0
    while 2 * past < len(marks) and marks[2 * past + 1] < floor:
        past += 1
    if past:
        _drop(ids, past)


def _drop(ids: SeenIds, buckets: int) -> None:
    count = sum(ids.marks[0 : 2 * buckets : 2])
    ids.digests = ids.digests[count * WIDTH :]
    del ids.marks[: 2 * buckets]
