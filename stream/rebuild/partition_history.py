"""The fold of one partition for the history of clauses, and what it needs from the folds of the others.

A merge record in the log has what a visitor's clauses remember, but not what new clauses would. So it gets the facts
that the fold of the visitor's partition has computed. Until these are there, the fold of the user's partition waits.
A split has the profile without a link, but not what new clauses would remember of it. So it waits for one more fold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from models.batch import Batch, Record, Restored
from models.events import Event, MergeRecord
from models.fold.handovers import answers_of, merge_in, merges_in, recomputed, replaced
from models.fold.partition import PartitionFold
from models.fold.prospects import ConditionsPlan, Prospects
from models.fold.recomputed_merges import is_missing
from models.fold.splits_again import SplitAgain, SplitsOfPartition, split_in
from models.identity.payload import unpack_payload
from models.log import (
    EVENTS,
    HISTORY_KEY,
    SPLIT_KEY,
    ProfileSplit,
    UserHistory,
    decode_control,
    encode_control,
    is_control,
)
from models.profile.codec import unpack
from models.profile.state import Facts


class HandedOver:
    """The merge records that the folds of all partitions have given.

    Parameters
    ----------
    begin_of
        Returns the offset of the first record in the partition of a visitor. What was handed over before is only in the
        log.
    """

    def __init__(self, begin_of: Callable[[str], int] = lambda _: 0) -> None:
        self._begin_of = begin_of
        self._answers: dict[str, Event] = {}
        self._read: set[str] = set()

    def __repr__(self) -> str:
        return f"HandedOver({len(self._answers)} answers, {len(self._read)} read)"

    def add(self, answers: Iterable[Event]) -> None:
        """Add the merge records that a fold has given."""
        for answer in answers:
            self._answers.setdefault(answer.id, answer)  # a second notice of the same login gets nothing more

    def is_awaited(self, merge: Event) -> bool:
        """Return whether the facts of a merge record in the log have not been computed yet."""
        said = merge.identity
        if merge.id in self._read or not is_missing(merge, self._answers.get(merge.id)):
            return False
        return isinstance(said, MergeRecord) and said.notice >= self._begin_of(merge.anonymous or "")

    def taken(self, merge: Event) -> Event:
        """Return a merge record in the log with the facts that were computed for it; the same record without any."""
        self._read.add(merge.id)
        return self.again(merge)

    def again(self, merge: Event) -> Event:
        """Return the same as :meth:`taken`, for a fold that reads the record once more."""
        answer = self._answers.get(merge.id)
        return merge if is_missing(merge, answer) or answer is None else recomputed(merge, answer)

    @property
    def on_their_way(self) -> set[str]:
        """Ids of the merge records with facts that were not read yet."""
        return {name for name, one in self._answers.items() if name not in self._read and _facts_in(one) is not None}


class PartitionHistory:
    """The fold of one partition for the history of its users.

    Parameters
    ----------
    partition
        Number of the partition.
    plan
        The change of conditions, with the clauses whose history is wanted.
    handed
        What visitors hand over; the folds of all partitions share it.

    Attributes
    ----------
    partition
        See the parameter.
    position
        Offset of the next record to fold.
    read_to
        Offset of the next record to give; records before it may wait.
    """

    def __init__(self, partition: int, plan: ConditionsPlan, handed: HandedOver | None = None) -> None:
        self.partition = partition
        self.position = self.read_to = 0
        self._plan = plan
        self._state = Restored(partition=partition)
        self._fold = PartitionFold(self._state, watched=plan.asked)
        self._handed = handed or HandedOver()
        self._waiting: deque[Record] = deque()
        self._splits = SplitsOfPartition(partition, plan.asked)
        self._sent: dict[bytes, int] = {}
        self._newest: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"PartitionHistory({self.partition}, at {self.position}, {len(self._sent)} records under way)"

    @property
    def now(self) -> int:
        """The log's time at the position, milliseconds."""
        return self._fold.now

    @property
    def waiting(self) -> int:
        """Number of records that were given and are not folded yet, because something is to be computed before."""
        return len(self._waiting)

    @property
    def awaited(self) -> tuple[int, Event] | None:
        """The merge record whose facts are not computed yet, with its offset; ``None`` if no record waits."""
        merge = merge_in(self._waiting[0].value) if self._waiting else None
        return None if merge is None else (self._waiting[0].offset, merge)

    @property
    def awaited_split(self) -> tuple[ProfileSplit, SplitAgain] | None:
        """The split with which the waiting records begin, and the fold that computes it; ``None`` for no split."""
        split = split_in(self._waiting[0]) if self._waiting else None
        if split is None:
            return None
        again = self._splits.awaited(self._waiting[0], self._state.records, self._fold.versions)
        return None if again is None else (split, again)

    def give_split(self, again: SplitAgain) -> None:
        """Take the profile of the split that is awaited from the fold that has computed it."""
        self._splits.give(self._waiting[0], again, self._fold.versions)

    def as_taken(self, records: Sequence[Record]) -> list[Record]:
        """Return records of the log before the position as this fold has taken them."""
        found = {record.offset: replaced(record, self._handed.again(merge)) for record, merge in merges_in(records)}
        return [found.get(one.offset) or self._splits.taken(one) for one in records]

    def users(self) -> list[bytes]:
        """Return the keys of all users."""
        return [key for key in self._state.records if not is_control(key)]

    def prospects(self, covered_from: int | None) -> Prospects:
        """Return the users as if the conditions were applied at the position.

        Parameters
        ----------
        covered_from
            See :meth:`models.fold.prospects.ConditionsPlan.successive`.
        """
        found = Prospects(self._plan, self._fold.versions, self.now, covered_from)
        for key in self.users():
            found.add(key.decode(), unpack(self._state.records[key]))
        return found

    def fold(self, records: Sequence[Record]) -> list[bytes]:
        """Fold records of the log, up to the first one that brings facts about a profile which are not computed yet.

        That is a merge record, or a split. Records from there on are kept, and the next call begins with them.

        Returns
        -------
        list of bytes
            Keys of the users whose memory was not taken by the running fold, or is no longer what they have there.
        """
        if records:
            self.read_to = records[-1].offset + 1
        self._waiting.extend(records)
        again: dict[bytes, None] = {}
        while ready := self._ready(again):
            outputs = self._fold.fold(Batch(EVENTS, self.partition, ready))
            self._state.apply(outputs.commit)
            self._handed.add(answers_of(outputs))
            self.position = self._state.position = ready[-1].offset + 1
            for record in ready:
                self._splits.note(record)
                if self._sent or is_control(record.key or b""):
                    again.update((key, None) for key in self._not_taken(record))
        return list(again)

    def _ready(self, again: dict[bytes, None]) -> list[Record]:
        """Take the next records that can be folded; add the users who have got too little by a merge record."""
        ready: list[Record] = []
        while self._waiting:
            record = self._waiting[0]
            if record.key == SPLIT_KEY:
                if ready or self._splits.awaited(record, self._state.records, self._fold.versions) is not None:
                    break
                record = self._splits.taken(record)
            merge = None if is_control(record.key or b"") else merge_in(record.value)
            if merge is not None:
                if self._handed.is_awaited(merge):
                    break
                taken = self._handed.taken(merge)
                if self._remembered(taken) != self._remembered(merge):
                    again[merge.user.encode()] = None
                record = replaced(record, taken)
            ready.append(record)
            self._waiting.popleft()
        return ready

    def _remembered(self, merge: Event) -> tuple[int, Mapping[int, bytes]]:
        """Return what a merge record brings for the history."""
        facts = _facts_in(merge)
        return (0, {}) if facts is None else (facts.known_since, self._wanted(facts))

    def _wanted(self, facts: Facts) -> dict[int, bytes]:
        entries = facts.clauses.entries if facts.clauses is not None else {}
        return {number: content for number, content in entries.items() if number in self._plan.clauses}

    def _not_taken(self, record: Record) -> Iterable[bytes]:
        key = record.key or b""
        if not is_control(key):
            if key in self._sent:
                self._newest[key] = record.offset
            return
        if key not in (HISTORY_KEY, SPLIT_KEY):
            return
        try:
            control = decode_control(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # the fold makes it a dead letter
        if isinstance(control, ProfileSplit) and control.user.encode() in self._sent:
            self._newest[control.user.encode()] = record.offset
        if isinstance(control, UserHistory) and self._sent.get(user := control.user.encode()) == control.before:
            del self._sent[user]
            if self._newest.pop(user, -1) >= control.before:
                yield user

    def records_of(self, keys: Iterable[bytes]) -> list[tuple[int, bytes, bytes]]:
        """Return the records with the memory of users, to be written now; none for users without a memory."""
        found = []
        for key in keys:
            facts = unpack(self._state.records[key]).facts
            wanted = self._wanted(facts)
            if not wanted and (not facts.events or facts.known_since >= facts.first_seen > 0):
                continue  # a user without a memory needs no record, unless the first event was no visit
            self._sent[key] = self.position
            history = UserHistory(key.decode(), self.position, facts.known_since, wanted)
            found.append((self.partition, *encode_control(history)))
        return found

    @property
    def is_taken(self) -> bool:
        """Whether all records that were written have been read again."""
        return not self._sent


def _facts_in(merge: Event) -> Facts | None:
    """Return the facts in a merge record; ``None`` if it has none."""
    said = merge.identity
    if not isinstance(said, MergeRecord) or not said.payload:
        return None
    return unpack_payload(said.payload).facts
