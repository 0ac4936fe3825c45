"""The users in each stage of the lifecycle, counted by partition: how many there are, and the moves of each day.

A partition keeps one small record, which is written only when a user moves or is new. So the users need not be gone
through to count them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from models.batch import Restored
from models.units import DAY

STAGES_KEY = b"\x00stages"
"""Key in ``profiles`` under which the counts are stored."""
MAX_STAGE_DAYS = 35
"""Maximum number of days of which the moves are kept."""


class StageCount(NamedTuple):
    """A move to count.

    Attributes
    ----------
    origin, target
        Names of the stages. The origin is empty for a user who is new to the lifecycle. The target is empty for a
        visitor who is counted under another id from now on; this is no move.
    at
        Time of the step, milliseconds.
    is_silent
        Whether the user only came to new conditions.
    """

    origin: str
    target: str
    at: int
    is_silent: bool


class StageDay(msgspec.Struct, array_like=True, gc=False):
    """The moves of one day in UTC.

    Attributes
    ----------
    day
        Days since the epoch.
    moves
        Number of moves by origin and target, ``origin>target``.
    adopted
        The same for users who only came to new conditions.
    """

    day: int
    moves: dict[str, int] = {}
    adopted: dict[str, int] = {}


class StagesInUse(msgspec.Struct, array_like=True, gc=False):
    """The counts of one partition, or of several.

    Attributes
    ----------
    users
        Number of users by stage.
    days
        Moves by day, oldest first, at most ``MAX_STAGE_DAYS`` days.
    """

    users: dict[str, int] = {}
    days: list[StageDay] = []

    def count(self, one: StageCount) -> None:
        """Count a move."""
        if one.origin:
            self.users[one.origin] = self.users.get(one.origin, 0) - 1
            if not self.users[one.origin]:
                del self.users[one.origin]
        if not one.target:
            return
        self.users[one.target] = self.users.get(one.target, 0) + 1
        day = self.day_of(one.at // DAY)
        moves, name = day.adopted if one.is_silent else day.moves, f"{one.origin}>{one.target}"
        moves[name] = moves.get(name, 0) + 1

    def day_of(self, number: int) -> StageDay:
        """Return the moves of a day; a day that is too old is returned, and forgotten."""
        found = next((known for known in reversed(self.days) if known.day == number), None)
        if found is None:
            found = StageDay(number)
            self.days = sorted([*self.days, found], key=_day)[-MAX_STAGE_DAYS:]
        return found

    def add(self, other: StagesInUse) -> None:
        """Add the counts of another partition."""
        for stage, number in sorted(other.users.items()):
            self.users[stage] = self.users.get(stage, 0) + number
        for day in other.days:
            mine = self.day_of(day.day)
            for name, number in sorted(day.moves.items()):
                mine.moves[name] = mine.moves.get(name, 0) + number
            for name, number in sorted(day.adopted.items()):
                mine.adopted[name] = mine.adopted.get(name, 0) + number


_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder(StagesInUse).decode


class StageCounts:
    """The counts of one partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    """

    def __init__(self, committed: Restored) -> None:
        self._committed = committed
        self._known: StagesInUse | None = None
        self._has_changed = False

    def __repr__(self) -> str:
        """Show the number of users by stage."""
        return f"StageCounts({self._read().users})"

    def _read(self) -> StagesInUse:
        if self._known is None:
            self._known = read_stages(self._committed.records.get(STAGES_KEY))
        return self._known

    def count(self, moves: Iterable[StageCount]) -> None:
        """Count moves."""
        for one in moves:
            self._read().count(one)
            self._has_changed = True

    def clear(self) -> None:
        """Forget all counts, because a lifecycle begins."""
        self._known, self._has_changed = StagesInUse(), True

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return the encoded counts if they have changed since the last call."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {STAGES_KEY: _encode(self._read())}


def read_stages(content: bytes | None) -> StagesInUse:
    """Decode the counts of one partition; ``None`` stands for none."""
    return StagesInUse() if content is None else _decode(content)


def _day(day: StageDay) -> int:
    return day.day
