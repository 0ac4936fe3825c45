"""The fold of one user alone, step by step, from the log of the user's partition.

Records of other users only move the clock. They are passed over, except where one of the user's own timers is due. So a
log with millions of records costs little more than reading it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from models.batch import Batch, MadeRecord, Record, Restored
from models.events import Event, decode_event
from models.fold.memo import read_memo
from models.fold.partition import PartitionFold
from models.fold.versions import Versions
from models.log import EVENTS, Control, ProfileSplit, Tick, UserHistory, decode_control, encode_control, is_control
from models.profile.codec import unpack
from models.profile.state import Customer

StepKind = Literal["event", "clock", "control"]


class OwnMove(msgspec.Struct, frozen=True):
    """A signal of a move: its kind, the name of the segment or the stage, and its time in milliseconds."""

    kind: str
    name: str = ""
    at: int = 0


_decode_move = msgspec.json.Decoder(OwnMove).decode


class OwnStep(NamedTuple):
    """A step that has changed the user.

    Attributes
    ----------
    kind
        ``event``: an event of the user. ``clock``: the time alone. ``control``: a control record, such as a new
        configuration.
    at
        The partition's clock, milliseconds.
    event
        The event, with the time at which it counts.
    before, after
        The user before and after; ``None`` for a user who is not known yet.
    moves
        The signals of the step about segments and stages.
    """

    kind: StepKind
    at: int
    event: Event | None
    before: Customer | None
    after: Customer | None
    moves: tuple[OwnMove, ...]


class OwnFold:
    """The fold of one user.

    Parameters
    ----------
    partition
        Number of the user's partition.
    user
        The user's id.

    Attributes
    ----------
    customer
        The user's state; ``None`` before any event.
    """

    def __init__(self, partition: int, user: str) -> None:
        self.customer: Customer | None = None
        self._user = user
        self._key = user.encode()
        self._state = Restored(partition=partition)
        self._fold = PartitionFold(self._state)
        self._packed: bytes | None = None
        self._next_due: int | None = None
        self._moved: tuple[int, int] | None = None

    def __repr__(self) -> str:
        """Show the user and the place."""
        return f"OwnFold({self._user!r}, at {self._state.position})"

    @property
    def now(self) -> int:
        """The partition's clock, milliseconds."""
        return self._fold.now

    @property
    def versions(self) -> Versions:
        """The versions in use."""
        return self._fold.versions

    def take(self, records: Sequence[Record]) -> Iterator[OwnStep]:
        """Fold the next records of the partition, and yield each step that has changed the user."""
        for record in records:
            key = record.key
            if key == self._key:
                yield from self._take_own(record)
            elif is_control(key):
                yield from self._take_control(record)
            else:
                yield from self._pass(record, record.timestamp, on_wall=True)

    def finish(self, at: int) -> Iterator[OwnStep]:
        """Move the clock to a time, so that the timers fire that are due by then."""
        yield from self._move()
        if at > self.now:
            yield from self._fold_one(_tick(self._state.position, at), "clock")

    def _take_own(self, record: Record) -> Iterator[OwnStep]:
        yield from self._move()
        if self._fold.clock != "feeder" and self._fold.clock and record.timestamp > self.now:
            # The timers that are due now fire before the event, in a step of their own.
            yield from self._fold_one(_tick(record.offset, record.timestamp), "clock")
        yield from self._fold_one(record, "event")

    def _take_control(self, record: Record) -> Iterator[OwnStep]:
        try:
            control: Control = decode_control(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # the fold makes it a dead letter, and it moves no clock
        if isinstance(control, Tick):
            yield from self._pass(record, record.timestamp, on_wall=True)
            yield from self._pass(record, control.at, on_wall=False)
        elif isinstance(control, UserHistory | ProfileSplit) and control.user != self._user:
            yield from self._pass(record, record.timestamp, on_wall=True)
        else:
            yield from self._move()
            yield from self._fold_one(record, "control")

    def _pass(self, record: Record, at: int, *, on_wall: bool) -> Iterator[OwnStep]:
        """Pass over a record, and move the clock to its time if a timer of the user is due."""
        if on_wall is (self._fold.clock == "feeder") or at <= self.now:
            return
        if self._moved is None or at > self._moved[1]:
            self._moved = record.offset, at
        if self._next_due is not None and at >= self._next_due:
            yield from self._move()

    def _move(self) -> Iterator[OwnStep]:
        moved, self._moved = self._moved, None
        if moved is not None and moved[1] > self.now:
            yield from self._fold_one(_tick(*moved), "clock")

    def _fold_one(self, record: Record, kind: StepKind) -> Iterator[OwnStep]:
        state = self._state
        outputs = self._fold.fold(Batch(EVENTS, state.partition, [record]))
        state.apply(outputs.commit, record.offset + 1)
        self._next_due = outputs.next_due
        packed, before = state.records.get(self._key), self.customer
        if packed == self._packed:
            return
        self._packed, self.customer = packed, None if packed is None else unpack(packed)
        event = read_memo(state).adjusted(decode_event(record.value or b"")) if kind == "event" else None
        signals = (one.value for one in outputs.commit.records if one.topic == "signals" and one.value is not None)
        yield OwnStep(kind, self.now, event, before, self.customer, tuple(map(_decode_move, signals)))


def _tick(offset: int, at: int) -> Record:
    return MadeRecord(offset, at, *encode_control(Tick(at=at)))
