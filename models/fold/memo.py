"""The memo, which is stored beside a partition's position: the partition's clock, counters, and versions in use."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.errors import StateMismatch
from models.events import Event
from models.fold.campaigns_in_use import CAMPAIGNS_KEY
from models.fold.conditions_in_use import CONDITIONS_KEY
from models.fold.journeys_in_use import JOURNEYS_KEY
from models.fold.versions import Versions
from models.levels import FIRST, LEVEL, SCHEMA_OF_LEVEL, require_known

SCHEMA = 2
"""Version of the memo's layout at format level 1, which is its first byte.

Each level adds 1 to it. The layout stays the same, but code that does not know the level stops at the first byte.
"""
_MAX_SCHEMA = 0x7F
"""Maximum first byte of a memo with a version; memos without a version began with a larger one."""


class Memo(msgspec.Struct, array_like=True):
    """The partition's clock, counters and versions.

    Attributes
    ----------
    now
        Milliseconds since the epoch; 0 before any record.
    clock
        ``wall`` or ``feeder``; empty before the first record.
    numbers
        Version in use, by name.
    paused
        Channels that orders have paused, sorted.
    failing
        Number of events and timers in a row that could not be folded, up to this place.
    floor
        Events from before this time are refused, because their ids may have been forgotten. The floor never decreases,
        even if the horizon grows. Milliseconds.
    passed_over
        Number of events that had no effect and are no dead letters, by reason. ``repeat``: the id was seen before.
        ``order``: the order was stated before. ``statement``: the event was refused, except for its withdrawal.
        Reports about our messages are not counted.
    """

    now: int = 0
    clock: str = ""
    numbers: dict[str, int] = {}
    paused: list[str] = []
    failing: int = 0
    floor: int = 0
    passed_over: dict[str, int] = {}

    def adjusted(self, event: Event) -> Event:
        """Return the event as this log allows it.

        In a log with the wall clock, an event's time is never later than the partition's clock. In a log with a
        feeder's clock, no event is live.
        """
        if self.clock == "wall":
            if event.at > self.now:
                return msgspec.structs.replace(event, at=self.now)
        elif event.origin == "live":
            return msgspec.structs.replace(event, origin="replay")
        return event


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memo)


def read_memo(state: Restored) -> Memo:
    """Decode the memo of a committed state.

    Raises
    ------
    StateMismatch
        The memo was written under another schema.
    UnknownLevel
        The memo was written at a format level that this code does not know.
    """
    if not state.memo:
        return Memo()
    schema = state.memo[0]
    if not SCHEMA <= schema <= _MAX_SCHEMA:
        raise StateMismatch("clock of a partition", schema, SCHEMA)
    place = f"state of partition {state.partition} at offset {state.position}"
    require_known(place, schema - SCHEMA + FIRST)
    memo = _decoder.decode(memoryview(state.memo)[1:])
    require_known(place, level_of(memo))  # code without levels keeps the first byte, but it remembers the number
    return memo


def level_of(memo: Memo) -> int:
    """Return the format level in use at the place of a memo."""
    return memo.numbers.get(LEVEL, FIRST)


def encode_memo(memo: Memo) -> bytes:
    """Encode a memo for ``Commit.memo``."""
    return bytes((SCHEMA + level_of(memo) - FIRST,)) + _encoder.encode(memo)


def schema_in_use(state: Restored) -> int:
    """Return the schema in which the users of a committed state are stored from its position on."""
    return SCHEMA_OF_LEVEL[level_of(read_memo(state))]


def content_key(name: str) -> bytes:
    """Return the key in ``profiles`` under which the content of the version in use is stored."""
    return b"\x00use:" + name.encode()


def versions_in_use(state: Restored, memo: Memo) -> Versions:
    """Read the versions in use of a committed state."""
    versions = Versions(paused=set(memo.paused))
    for name, number in memo.numbers.items():
        versions.use(name, number, b"" if name == LEVEL else state.records[content_key(name)])
    records = state.records
    versions.restore_conditions(*(records.get(key) for key in (CONDITIONS_KEY, JOURNEYS_KEY, CAMPAIGNS_KEY)))
    return versions


def on_wall_clock(state: Restored) -> bool:
    """Return whether the partition's log uses the wall clock.

    Then the partition's owner has to move the clock if no record does.
    """
    return read_memo(state).clock == "wall"
