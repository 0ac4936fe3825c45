"""A reference for merged users: whole logs folded in two passes, in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from models.batch import Batch, Record, Restored
from models.events import Event
from models.fold.conditions_in_use import AskedConditions
from models.fold.handovers import VisitorsFold, merges_in, recomputed, replaced
from models.fold.partition import PartitionFold
from models.log import is_control
from models.profile.codec import unpack
from models.profile.state import Customer


def fold_in_two_passes(
    logs: Sequence[Sequence[Record]], sizes: Sequence[int] = (500,), watched: AskedConditions | None = None
) -> list[Restored]:
    """Fold the records of all partitions, in batches of the given sizes in turn; return their states."""
    answers: dict[str, Event] = {}
    for number, log in enumerate(logs):
        fold = VisitorsFold(number, watched)
        for records in _cut(log, sizes):
            for one in fold.take(records):
                answers.setdefault(one.id, one)  # a second notice of the same login gets nothing more
    states = [Restored(partition=number) for number in range(len(logs))]
    for log, state in zip(logs, states, strict=True):
        _second_pass(state, PartitionFold(state, watched=watched), _cut(log, sizes), answers)
    return states


def _second_pass(
    state: Restored, fold: PartitionFold, batches: Iterable[Sequence[Record]], answers: dict[str, Event]
) -> None:
    for records in batches:
        taken: dict[int, Record] = {
            record.offset: replaced(record, recomputed(merge, answers[merge.id]))
            for record, merge in merges_in(records)
        }
        batch = Batch("events", state.partition, [taken.get(record.offset, record) for record in records])
        state.apply(fold.fold(batch).commit, records[-1].offset + 1)


def _cut(log: Sequence[Record], sizes: Sequence[int]) -> Iterator[Sequence[Record]]:
    begin, turn = 0, itertools.cycle(sizes)
    while begin < len(log):
        size = next(turn)
        yield log[begin : begin + size]
        begin += size


def customers(states: Sequence[Restored]) -> dict[str, Customer]:
    """Return the users of all partitions."""
    return {
        key.decode(): unpack(packed) for state in states for key, packed in state.records.items() if not is_control(key)
    }
