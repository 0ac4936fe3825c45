"""The memo, which is stored beside a partition's position: the partition's clock, counters, and versions in use."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.errors import StateMismatch
from models.fold.versions import Versions

SCHEMA = 2
"""Version of the memo's layout, which is its first byte."""


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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memo)


def read_memo(state: Restored) -> Memo:
    """Decode the memo of a committed state.

    Raises
    ------
    StateMismatch
        The memo was written under another schema.
    """
    if not state.memo:
        return Memo()
    schema = state.memo[0]
    if schema == SCHEMA:
        return _decoder.decode(memoryview(state.memo)[1:])
    raise StateMismatch("clock of a partition", schema, SCHEMA)


def encode_memo(memo: Memo) -> bytes:
    """Encode a memo for ``Commit.memo``."""
    return bytes((SCHEMA,)) + _encoder.encode(memo)


def content_key(name: str) -> bytes:
    """Return the key in ``profiles`` under which the content of the version in use is stored."""
    return b"\x00use:" + name.encode()


def versions_in_use(state: Restored, memo: Memo) -> Versions:
    """Read the versions in use of a committed state."""
    versions = Versions(paused=set(memo.paused))
    for name, number in memo.numbers.items():
        versions.use(name, number, state.records[content_key(name)])
    return versions


def on_wall_clock(state: Restored) -> bool:
    """Return whether the partition's log uses the wall clock.

    Then the partition's owner has to move the clock if no record does.
    """
    return read_memo(state).clock == "wall"
