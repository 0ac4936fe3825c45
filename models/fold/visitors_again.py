"""Facts that visitors hand over to known users, computed again for the folds that leave a link out.

A merge record in the log has the facts about a visitor as earlier code computed them, and only the clauses of its time.
A fold that leaves out one link of a user needs the facts of this code about the user's other visitors. It also needs
what later clauses remember of them. So their partitions are folded, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.batch import Batch, Record, Restored
from models.events import Event
from models.fold.conditions_in_use import AskedConditions
from models.fold.handovers import answers_of, recomputed, replaced
from models.fold.partition import PartitionFold
from models.fold.recomputed_merges import is_missing
from models.fold.splits_again import SplitAgain, SplitsOfPartition, split_in
from models.identity.linking import is_nameless
from models.log import EVENTS


class VisitorsAgain:
    """A fold of one partition from its beginning, which returns what its anonymous profiles hand over.

    The caller gives it records of which at most the first one brings the profile of a split
    (:func:`models.fold.splits_again.parts_of`). Before, it computes this profile, if :meth:`awaited` asks for it.

    Parameters
    ----------
    partition
        Number of the partition.
    asked
        Conditions that are folded instead of those of the log; ``None`` for those of the log.
    """

    def __init__(self, partition: int, asked: AskedConditions | None = None) -> None:
        self._state = Restored(partition=partition)
        self._fold = PartitionFold(self._state, watched=asked)
        self._splits = SplitsOfPartition(partition, asked)
        self._answers: dict[str, Event] = {}

    def __repr__(self) -> str:
        """Show the place."""
        return f"VisitorsAgain({self._state.partition}, at {self.position})"

    @property
    def position(self) -> int:
        """Offset of the next record to take."""
        return self._state.position

    def awaited(self, record: Record) -> SplitAgain | None:
        """Return the fold that has to compute a visitor's profile before a record is taken; ``None`` without one."""
        split = split_in(record)
        if split is None or not is_nameless(split.user):
            return None
        return self._splits.awaited(record, self._state.records, self._fold.versions)

    def give(self, record: Record, again: SplitAgain) -> None:
        """Take the profile of a split from the fold that has computed it."""
        self._splits.give(record, again, self._fold.versions)

    def take(self, records: Sequence[Record]) -> list[Event]:
        """Fold the next records of the log, and return the merge records that follow from the notices among them."""
        outputs = self._fold.fold(Batch(EVENTS, self._state.partition, self.taken(records)))
        self._state.apply(outputs.commit, records[-1].offset + 1)
        for record in records:
            self._splits.note(record)
        found = answers_of(outputs)
        for answer in found:
            self._answers.setdefault(answer.id, answer)  # a second notice of the same login gets nothing more
        return found

    def taken(self, records: Sequence[Record]) -> list[Record]:
        """Return records of this partition with the profiles of splits as this fold takes them."""
        return [self._splits.taken(record) for record in records]

    def brought(self, record: Record, merge: Event) -> Record:
        """Return a merge record with what the visitor hands over by this fold; the same if it does not compute it."""
        answer = self._answers.get(merge.id)
        if answer is None or is_missing(merge, answer):
            return record
        return replaced(record, recomputed(merge, answer))
