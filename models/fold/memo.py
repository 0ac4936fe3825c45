"""What stands beside a partition's position: its clock, ``now``, and which versions are in use."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.errors import StateMismatch
from models.fold.versions import Versions

SCHEMA = 2
"""Stands before the memo."""


class Memo(msgspec.Struct, array_like=True):
    """The partition's clock and versions.

    Attributes
    ----------
    now
        Milliseconds since the epoch; 0 before any record.
    clock
        ``wall`` or ``feeder``; empty before the first record.
    numbers
        Version in use, by name.
    paused
        What orders have paused, sorted.
    failing
        How many events and timers in a row could not be folded until here.
    floor
        Ids that only events from before this time can carry may have been forgotten: those are refused. It only grows,
        also where the horizon does. Milliseconds.
    passed_over
        Number of events that counted nowhere and are no dead letters, by why: ``repeat`` of an id, ``order`` that is
        stated again, ``statement`` (refused, but for the withdrawal in it). Reports of our own messages are left out.
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
    """The memo of a committed state.

    Raises
    ------
    StateMismatch
        Another schema version wrote it.
    """
    if not state.memo:
        return Memo()
    schema = state.memo[0]
    if schema == SCHEMA:
        return _decoder.decode(memoryview(state.memo)[1:])
    raise StateMismatch("clock of a partition", schema, SCHEMA)


def encode_memo(memo: Memo) -> bytes:
    """Bytes for ``Outputs.memo``."""
    return bytes((SCHEMA,)) + _encoder.encode(memo)


def content_key(name: str) -> bytes:
    """Key in ``profiles`` under which the content of the version in use stands."""
    return b"\x00use:" + name.encode()


def versions_in_use(state: Restored, memo: Memo) -> Versions:
    """Read the versions that a committed state is under."""
    versions = Versions(paused=set(memo.paused))
    for name, number in memo.numbers.items():
        versions.use(name, number, state.records[content_key(name)])
    return versions


def on_wall_clock(state: Restored) -> bool:
    """Whether the partition's log goes by the wall clock, so that its owner has to move it when nothing else does."""
    return read_memo(state).clock == "wall"
