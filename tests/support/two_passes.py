"""A reference for merged users: whole logs folded in two passes, in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from models.batch import Batch, Record, Restored
from models.events import Event
from models.fold.conditions_in_use import AskedConditions
from models.fold.handovers import answers_of, merges_in, recomputed, replaced
from models.fold.partition import PartitionFold
from models.fold.splits_again import SplitAgain, is_current, parts_of, split_in
from models.log import is_control
from models.profile.codec import unpack
from models.profile.state import Customer
from tests.support.splitting import recomputed_log, with_watched_clauses


def fold_in_two_passes(
    logs: Sequence[Sequence[Record]], sizes: Sequence[int] = (500,), watched: AskedConditions | None = None
) -> list[Restored]:
    """Fold the records of all partitions, in batches of the given sizes in turn; return their states."""
    answers: dict[str, Event] = {}
    for number, log in enumerate(logs):
        for one in OnePass(number, watched, {}, logs).run(log, sizes):
            answers.setdefault(one.id, one)  # a second notice of the same login gets nothing more
    passes = [OnePass(number, watched, answers, logs) for number in range(len(logs))]
    for log, one_pass in zip(logs, passes, strict=True):
        one_pass.run(log, sizes)
    return [one.state for one in passes]


class OnePass:
    """One pass over a partition, in memory; the second pass has answers."""

    def __init__(
        self,
        partition: int,
        watched: AskedConditions | None,
        answers: dict[str, Event],
        logs: Sequence[Sequence[Record]],
    ) -> None:
        self.state = Restored(partition=partition)
        self._watched = watched
        self._answers = answers
        self._fold = PartitionFold(self.state, watched=watched)
        self._taken: list[Record] = []
        self._logged = logs[partition]
        self._log = recomputed_log(logs)

    def run(self, log: Sequence[Record], sizes: Sequence[int]) -> list[Event]:
        """Fold a whole log, and return the merge records that follow from it."""
        found: list[Event] = []
        for records in _cut(log, sizes):
            for part in parts_of(records):
                taken = [self._replaced(record) for record in part]
                self._taken += taken
                outputs = self._fold.fold(Batch("events", self.state.partition, taken))
                self.state.apply(outputs.commit, part[-1].offset + 1)
                found += answers_of(outputs)
        return found

    def _replaced(self, record: Record) -> Record:
        split = split_in(record)
        if split is not None and is_current(split, self.state.records.get(split.user.encode())):
            again = SplitAgain(self.state.partition, split, self.state.records.get(split.user.encode()), self._watched)
            self._give(again, split.before)
            while not again.is_done():
                self._give(again, split.before)
            return again.replaced(record, None if self._watched is None else self._fold.versions)
        for _, merge in merges_in([record]):
            if merge.id in self._answers:
                return replaced(record, recomputed(merge, self._answers[merge.id]))
        return record

    def _give(self, again: SplitAgain, end: int) -> None:
        """Give the records below an offset to the fold that computes a split again."""
        logged = [one for one in self._logged if one.offset < end]
        again.take(
            [one for one in self._taken if one.offset < end], with_watched_clauses(self._log, again.fold, logged)
        )


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
