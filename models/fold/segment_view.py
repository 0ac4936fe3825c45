"""The segments by rule of a partition, as its owner answers: their sizes, their moves by day, and their members.

Sizes come from counters of the fold. Only a list of all members goes through the users, in slices.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import Any

import msgspec

from models.batch import Restored
from models.conditions.program import segment_key
from models.conditions.writing import plain
from models.fold.members import Entrant, SegmentMembers, key_of, read_members
from models.fold.versions import Versions
from models.log import CONTROL
from models.profile.codec import unpack
from models.units import DAY

SLICE = 500
"""Number of users that one slice goes through. Decoding more of them would delay the fold in the same process."""


class SegmentSize(msgspec.Struct, frozen=True):
    """The size of a segment in one partition, or in several.

    Attributes
    ----------
    name
        Its name.
    when
        Its written condition.
    members
        Number of members.
    entered, left
        Number of users who have entered and left on the current day in UTC, apart from those who came to new
        conditions.
    """

    name: str
    when: Any
    members: int
    entered: int
    left: int


class PartitionSizes(msgspec.Struct, frozen=True):
    """The sizes of all segments in one partition.

    Attributes
    ----------
    partition
        Number of the partition.
    now
        Its clock, milliseconds.
    configuration
        Number of the configuration in use; 0 without any.
    adopts_until, waiting
        Time by which all users have come to new conditions, milliseconds; ``None`` if they have. Number of those who
        have not.
    segments
        In the sequence of the file.
    """

    partition: int
    now: int
    configuration: int
    adopts_until: int | None
    waiting: int
    segments: list[SegmentSize]


class PartitionMembers(msgspec.Struct, frozen=True):
    """The counted members of one segment in one partition."""

    partition: int
    now: int
    members: SegmentMembers


class MemberSlice(msgspec.Struct, frozen=True):
    """Some members of a segment in one partition, sorted by their ids.

    Attributes
    ----------
    members
        The members among the users of the slice.
    after
        Id after which the next slice begins; ``None`` after the last slice.
    """

    members: list[Entrant]
    after: str | None


def sizes(state: Restored, versions: Versions, now: int) -> PartitionSizes:
    """Return the sizes of all segments by rule of a partition.

    Parameters
    ----------
    state
        The partition's committed state.
    versions
        The versions in use in it.
    now
        Its clock, milliseconds.
    """
    conditions = versions.conditions
    if conditions is None:
        return PartitionSizes(state.partition, now, versions.configuration_number, None, 0, [])
    found = []
    for segment in conditions.asked.segments:
        members = read_members(state.records.get(key_of(segment.name)))
        entered, left = today(members, now)
        found.append(SegmentSize(segment.name, plain(segment.when), members.number, entered, left))
    until, waiting = (conditions.until, conditions.waiting) if conditions.waiting else (None, 0)
    return PartitionSizes(state.partition, now, versions.configuration_number, until, waiting, found)


def today(members: SegmentMembers, now: int) -> tuple[int, int]:
    """Return the numbers of users who have entered and left on the day of a time."""
    moves = next((one for one in members.days if one.day == now // DAY), None)
    return (0, 0) if moves is None else (moves.entered, moves.left)


def members_of(state: Restored, name: str, now: int) -> PartitionMembers:
    """Return the counted members of a segment in a partition; none for an unknown name."""
    return PartitionMembers(state.partition, now, read_members(state.records.get(key_of(name))))


def slice_of(state: Restored, name: str, after: str, size: int = SLICE) -> MemberSlice:
    """Return the members of a segment among the users whose ids come after another one.

    Parameters
    ----------
    state
        The partition's committed state.
    name
        Name of the segment.
    after
        An id; the first slice begins after the empty text.
    size
        Number of users to go through.
    """
    number, begin, found = segment_key(name), after.encode(), []
    keys = nsmallest(size, (key for key in state.records if key > begin and key[:1] != CONTROL))
    for key in keys:
        memberships = unpack(state.records[key]).ledger.memberships
        since = None if memberships is None else memberships.since.get(number)
        if since is not None:
            found.append(Entrant(since, key.decode()))
    return MemberSlice(found, keys[-1].decode() if len(keys) == size else None)
