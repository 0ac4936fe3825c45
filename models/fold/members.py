"""The members of segments by rule, counted by partition: how many there are, who came last, and the moves of each day.

A partition keeps one small record for each segment, which is written only when the segment changes. So the
users need not be gone through to count them. If some of the newest members leave, other members take their place: those
who stay when a later step decides their segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from models.batch import Restored
from models.units import DAY

KEY = b"\x00members:"
"""Beginning of the keys in ``profiles`` under which the members of the segments are stored; then the segment's name."""
MAX_DAYS = 35
"""Maximum number of days of which the moves are kept."""
MAX_NEWEST = 20
"""Maximum number of the users who came last that are kept."""


class SegmentMove(NamedTuple):
    """A user's move into a segment by rule, or out of it.

    Attributes
    ----------
    segment
        Name of the segment.
    user
        The user's id.
    has_entered
        Whether the user has entered it; otherwise the user has left it.
    at
        Time of the step, milliseconds.
    is_silent
        Whether the user only came to new conditions.
    """

    segment: str
    user: str
    has_entered: bool
    at: int
    is_silent: bool


class StayingMember(NamedTuple):
    """A member of a segment by rule who stays after a step has decided the user's segments.

    Attributes
    ----------
    segment
        Name of the segment.
    user
        The user's id.
    since
        Time of the entry, milliseconds.
    """

    segment: str
    user: str
    since: int


class DayMoves(msgspec.Struct, array_like=True, gc=False):
    """The moves of one day in UTC.

    Attributes
    ----------
    day
        Days since the epoch.
    entered, left
        Number of users who have entered and left by a step of their own.
    adopted
        Number of users who were members when they came to new conditions, less those who were no longer.
    """

    day: int
    entered: int = 0
    left: int = 0
    adopted: int = 0


class Entrant(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A user who has entered, and the time, milliseconds."""

    since: int
    user: str


class SegmentMembers(msgspec.Struct, array_like=True, gc=False):
    """The members of one segment in one partition.

    Attributes
    ----------
    number
        Number of members.
    days
        Moves by day, oldest first, at most ``MAX_DAYS`` days.
    newest
        The members who came last, oldest first, at most ``MAX_NEWEST``.
    """

    number: int = 0
    days: list[DayMoves] = []
    newest: list[Entrant] = []

    @property
    def has_room(self) -> bool:
        """Whether there are members who are not among the newest although there is room, because others have left."""
        return len(self.newest) < min(MAX_NEWEST, self.number)

    def stay(self, one: StayingMember) -> bool:
        """Add a member to the newest ones if there is room, and return whether the member was added."""
        if not self.has_room or any(known.user == one.user for known in self.newest):
            return False
        self.newest = sorted([*self.newest, Entrant(one.since, one.user)], key=_entry)
        return True

    def move(self, one: SegmentMove) -> None:
        """Count a move."""
        sign, day = 1 if one.has_entered else -1, one.at // DAY
        self.number += sign
        if one.has_entered:
            self.newest = [*self.newest[1 - MAX_NEWEST :], Entrant(one.at, one.user)]
        else:
            self.newest = [known for known in self.newest if known.user != one.user]
        moves = next((known for known in reversed(self.days) if known.day == day), None)
        if moves is None:
            moves = DayMoves(day)
            self.days = sorted([*self.days, moves], key=_day)[-MAX_DAYS:]
        if one.is_silent:
            moves.adopted += sign
        elif one.has_entered:
            moves.entered += 1
        else:
            moves.left += 1


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SegmentMembers).decode


class MemberCounts:
    """The members of all segments in one partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    """

    def __init__(self, committed: Restored) -> None:
        self._committed = committed
        self._known: dict[str, SegmentMembers] = {}
        self._changed: dict[bytes, bytes | None] = {}
        stored = (key[len(KEY) :].decode() for key in committed.records if key.startswith(KEY))
        self._with_room = {name for name in stored if self.of(name).has_room}

    def __repr__(self) -> str:
        """Show the number of segments read."""
        return f"MemberCounts({len(self._known)} segments read)"

    def of(self, segment: str) -> SegmentMembers:
        """Return the members of a segment."""
        found = self._known.get(segment)
        if found is None:
            content = self._committed.records.get(key_of(segment))
            found = self._known[segment] = SegmentMembers() if content is None else _decode(content)
        return found

    def move(self, moves: Iterable[SegmentMove | StayingMember]) -> None:
        """Count moves."""
        changed = {}
        for one in moves:
            members = self.of(one.segment)
            if isinstance(one, SegmentMove):
                members.move(one)
            elif not members.stay(one):
                continue
            changed[one.segment] = members
        for name, members in changed.items():
            self._changed[key_of(name)] = _encode(members)
            (self._with_room.add if members.has_room else self._with_room.discard)(name)

    def drop(self, segment: str) -> None:
        """Forget a segment that is no longer in use."""
        self._known[segment] = SegmentMembers()
        self._changed[key_of(segment)] = None
        self._with_room.discard(segment)

    @property
    def with_room(self) -> frozenset[str]:
        """Names of the segments that have room among the newest members."""
        return frozenset(self._with_room)

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return the encoded members that have changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed


def read_members(content: bytes | None) -> SegmentMembers:
    """Decode the members of a segment in one partition; ``None`` stands for none."""
    return SegmentMembers() if content is None else _decode(content)


def joined(parts: Iterable[SegmentMembers]) -> SegmentMembers:
    """Return the members of a segment in several partitions together."""
    number, days, newest = 0, dict[int, DayMoves](), list[Entrant]()
    for part in parts:
        number += part.number
        newest += part.newest
        for one in part.days:
            known = days.setdefault(one.day, DayMoves(one.day))
            known.entered += one.entered
            known.left += one.left
            known.adopted += one.adopted
    newest.sort(key=_entry)
    return SegmentMembers(number, [days[day] for day in sorted(days)][-MAX_DAYS:], newest[-MAX_NEWEST:])


def key_of(segment: str) -> bytes:
    """Return the key of the record of a segment's members."""
    return KEY + segment.encode()


def _entry(one: Entrant) -> tuple[int, str]:
    return one.since, one.user


def _day(moves: DayMoves) -> int:
    return moves.day
