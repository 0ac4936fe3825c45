"""Segments over a log by the whole fold: the moves that its signals state."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from models.batch import Outputs, Restored
from models.conditions.clauses import SegmentRule
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.partition import PartitionFold
from models.log import Control, Tick, Use, opening
from tests.support.event_logs import PartitionRecord, batches, written
from tests.support.segment_runs import SegmentEntries

BATCH = 5_000
"""Number of records of a batch."""


class FoldedMove(NamedTuple):
    """A signal of a user who has entered or left a segment."""

    user: str
    segment: str
    at: int
    has_entered: bool


class _Signal(msgspec.Struct):
    kind: str
    user: str
    at: int
    name: str = ""


_decode = msgspec.json.Decoder(_Signal).decode


def segments_version(rules: Sequence[SegmentRule], version: int = 1) -> Use:
    """Return the control record of a configuration that has only segments by rule."""
    configuration = msgspec.structs.replace(parse({}, {}), segments=tuple(rules))
    return Use(name="configuration", version=version, content=msgspec.Raw(encode(configuration)))


def moves_of(outputs: Outputs) -> Iterator[FoldedMove]:
    """Yield the moves that the outputs of the fold state, in their order."""
    for record in outputs.commit.records:
        if record.topic == "signals" and record.value is not None:
            move = decode_move(record.value)
            if move is not None:
                yield move


def decode_move(signal: bytes) -> FoldedMove | None:
    """Return the move that a signal states; ``None`` if it states another change."""
    found = _decode(signal)
    if found.kind not in ("segment_entered", "segment_left"):
        return None
    return FoldedMove(found.user, found.name, found.at, found.kind == "segment_entered")


def fold_batches(records: Sequence[PartitionRecord], size: int, state: Restored) -> Iterator[Outputs]:
    """Fold a log in batches of a size, as a lane does, and yield all outputs; the state is changed in place."""
    fold = PartitionFold(state)
    for batch in batches(records, itertools.repeat(size)):
        for outputs in fold.slices(batch):
            checkpoint = state.checkpoint(outputs.commit, batch.records[-1].offset + 1)
            state.apply(outputs.commit, checkpoint.position)
            yield outputs


def fold_segments(rules: Sequence[SegmentRule], events: Iterable[Event], instants: Sequence[int]) -> SegmentEntries:
    """Return the same as :func:`tests.support.segment_runs.evaluate_segments`, by the signals of the fold."""
    found = SegmentEntries(
        {rule.name: {instant: set() for instant in instants} for rule in rules}, {rule.name: [] for rule in rules}
    )
    members: dict[str, set[str]] = {rule.name: set() for rule in rules}
    waiting = list(instants)
    for outputs in fold_batches(written(_log(rules, events, instants)), BATCH, Restored()):
        for move in moves_of(outputs):
            while waiting and move.at > waiting[0]:
                _keep(found, members, waiting.pop(0))
            if move.has_entered:
                members[move.segment].add(move.user)
                found.entered[move.segment].append((move.user, move.at))
            else:
                members[move.segment].remove(move.user)
    for instant in waiting:
        _keep(found, members, instant)
    for entered in found.entered.values():
        entered.sort()
    return found


def _keep(found: SegmentEntries, members: dict[str, set[str]], instant: int) -> None:
    for name, users in members.items():
        found.members[name][instant] = set(users)


def _log(rules: Sequence[SegmentRule], events: Iterable[Event], instants: Sequence[int]) -> Iterator[Event | Control]:
    """Yield the contents of a log in which the clock moves to the time of each event, as a feeder does it."""
    yield opening("feeder")
    yield segments_version(rules)
    now, waiting = 0, list(instants)
    for event in events:
        while waiting and event.at > waiting[0]:
            now = waiting.pop(0)
            yield Tick(at=now)
        if not waiting:
            return
        if event.at > now:
            now = event.at
            yield Tick(at=now)
        yield event
    for instant in waiting:
        yield Tick(at=instant)
