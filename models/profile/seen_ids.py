"""The message ids that a user's state has seen; with them, a repeated event is recognized and ignored.

Two rules make this exact:

- A repeat is recognized by its id if it arrives within the horizon (``events.horizon``) after the first one, by the
  partition's clock. The time that the event states does not matter.
- An event is refused as ``too_late`` if its time is before the clock minus the horizon. An id is forgotten only when a
  repeat of its event, with the same time, would be refused. So an id is kept until both its arrival and the time of its
  event are older than the horizon.

An id is stored as 8 bytes of BLAKE2b. If n ids are remembered, a new id is mistaken for one of them with a probability
of n / 2^64. With the maximum number of ids, that is below one in 2 x 10^15.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from models.units import HOUR

WIDTH_BYTES = 8
"""Size of a digest, bytes."""

MAX_IDS = 8_192
"""Maximum number of message ids kept per user (64 KiB). A user who exceeds it gets a shorter deduplication window."""

BUCKET = 512
"""Number of ids that are forgotten together. Each hour begins a new group, so a group may be smaller."""


class SeenIds(msgspec.Struct, array_like=True, gc=False):
    """The ids of one user's events, oldest first.

    Attributes
    ----------
    floor
        Events older than this are refused although they are within the horizon, milliseconds. Ids of that time had to
        be forgotten, because there were too many. It is 0 for nearly all users.
    marks
        Two numbers per bucket, oldest first: the number of its ids, and the newest of their arrivals and times in
        milliseconds.
    digests
        ``WIDTH_BYTES`` bytes per id, in the order of arrival.
    """

    floor: int = 0
    marks: list[int] = []
    digests: bytes = b""

    def __len__(self) -> int:
        return len(self.digests) // WIDTH_BYTES


def digest_of(message_id: str) -> bytes:
    """Return the digest of a ``messageId``."""
    return blake2b(message_id.encode(), digest_size=WIDTH_BYTES).digest()


def knows(ids: SeenIds, digest: bytes) -> bool:
    """Return whether an event of that id was folded.

    Examples
    --------
    >>> ids = SeenIds()
    >>> _ = remember(ids, digest_of("m1"), now=5, at=5)
    >>> knows(ids, digest_of("m1")), knows(ids, digest_of("m2"))
    (True, False)
    """
    place = ids.digests.find(digest)
    while place >= 0:
        if place % WIDTH_BYTES == 0:
            return True
        place = ids.digests.find(digest, place + 1)
    return False


def remember(ids: SeenIds, digest: bytes, now: int, at: int, floor: int = 0) -> int:
    """Remember the id of an event that has been folded.

    Parameters
    ----------
    ids
        The user's ids, changed in place.
    digest
        The digest of the event's id, see :func:`digest_of`.
    now
        The partition's clock, milliseconds.
    at
        Time of the event, milliseconds; it may be ahead of the clock.
    floor
        Time before which events are refused, milliseconds; older ids are forgotten first, see :func:`forget`.

    Returns
    -------
    int
        Number of other ids that had to be forgotten early. From then on, repeats of their events are refused because
        they are older than ``floor``. There are two exceptions: an event whose time was ahead of the clock, and a
        repeat that states another time than its first one.
    """
    marks, time = ids.marks, max(now, at)
    if marks and marks[1] < floor:
        forget(ids, floor)
    forgotten = 0
    if len(ids.digests) >= MAX_IDS * WIDTH_BYTES:
        forgotten, until = marks[0], marks[1]
        _drop(ids, 1)
        if until <= now:
            ids.floor = max(ids.floor, until + 1)
    newest = marks[-1] if marks else -1
    if marks and marks[-2] < BUCKET and (time <= newest or time // HOUR == newest // HOUR):
        marks[-2] += 1
        if time > newest:
            marks[-1] = time
    else:
        marks += (1, time)
    ids.digests += digest
    return forgotten


def forget(ids: SeenIds, floor: int) -> None:
    """Remove the ids whose events are all from before ``floor``, because repeats of such events are refused.

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


def join(one: SeenIds, other: SeenIds, now: int) -> tuple[SeenIds, int]:
    """Return the ids of both, for two profiles of one person; the arguments are not changed.

    Parameters
    ----------
    one, other
        Ids of the two profiles. An id that both know is kept twice, which does no harm.
    now
        The partition's clock, milliseconds.

    Returns
    -------
    tuple of SeenIds and int
        The joint ids, and the number of ids that had to be forgotten early; see :func:`remember`.
    """
    if not other.marks:
        return SeenIds(max(one.floor, other.floor), list(one.marks), one.digests), 0
    joint = SeenIds(max(one.floor, other.floor))
    for time, _, count, digests in sorted([*_buckets(one, 0), *_buckets(other, 1)]):
        joint.marks += (count, time)
        joint.digests += digests
    forgotten = 0
    while len(joint) > MAX_IDS:
        forgotten, until = forgotten + joint.marks[0], joint.marks[1]
        _drop(joint, 1)
        if until <= now:
            joint.floor = max(joint.floor, until + 1)
    return joint, forgotten


def _buckets(ids: SeenIds, profile: int) -> list[tuple[int, int, int, bytes]]:
    """Return time, profile, number and digests of each bucket."""
    found, begin, newest = [], 0, 0
    for count, time in zip(ids.marks[::2], ids.marks[1::2], strict=True):
        end = begin + count * WIDTH_BYTES
        newest = max(newest, time)
        found.append((newest, profile, count, ids.digests[begin:end]))
        begin = end
    return found


def _drop(ids: SeenIds, buckets: int) -> None:
    count = sum(ids.marks[0 : 2 * buckets : 2])
    ids.digests = ids.digests[count * WIDTH_BYTES :]
    del ids.marks[: 2 * buckets]
