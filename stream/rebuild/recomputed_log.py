"""The log as a fold that leaves links out takes it: with what this code computes of other visitors.

The partition of a visitor is folded when a record of this visitor is read, and not before. So no partition is folded
without need.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

from models.batch import Record
from models.conditions.clauses import Condition
from models.events import MergeRecord
from models.fold.conditions_in_use import AskedConditions
from models.fold.handovers import merges_in
from models.fold.splits_again import SplitAgain, WatchedFold, parts_of, split_in
from models.fold.unlinked import UnlinkedFold
from models.fold.visitors_again import VisitorsAgain
from models.identity.linking import is_nameless
from stream.cluster.partitioner import partition_of

ReadLog: TypeAlias = Callable[[int, int, int | None], AsyncIterator[Sequence[Record]]]
"""Function that yields the records of a partition from an offset, below another one or up to the present end."""
_OF_THE_LOG: tuple[Condition, ...] = ()
"""No clauses besides those of the log."""


class RecomputedLog:
    """A log whose records have what this code computes of visitors.

    A merge record that this code does not compute stays as it is.

    Parameters
    ----------
    read
        Reads the log.
    partitions
        Number of partitions.
    """

    def __init__(self, read: ReadLog, partitions: int) -> None:
        self._read = read
        self._partitions = partitions
        self._parts: dict[tuple[Condition, ...], dict[int, VisitorsAgain]] = {}

    def __repr__(self) -> str:
        return f"RecomputedLog({self._partitions} partitions, {len(self._parts)} sets of clauses)"

    async def taken(self, fold: UnlinkedFold, records: Sequence[Record]) -> Sequence[Record]:
        """Return the next records of a fold with the facts of this code about visitors.

        Raises
        ------
        BeginningGone
            The partition of a visitor has lost its first records.
        BrokerUnavailable
            The log cannot be read.
        """
        return await self._with(_OF_THE_LOG, fold, records)

    async def watched(self, fold: UnlinkedFold | WatchedFold, records: Sequence[Record]) -> Sequence[Record] | None:
        """Return the same records with what the watched clauses of a fold remember of visitors; ``None`` without any.

        The errors are those of :meth:`taken`.
        """
        if isinstance(fold, WatchedFold) or not fold.watched:
            return None
        return await self._with(fold.watched, fold, records)

    async def _with(
        self, clauses: tuple[Condition, ...], fold: UnlinkedFold, records: Sequence[Record]
    ) -> Sequence[Record]:
        found, partition = list(records), fold.state.partition
        places = {record.offset: place for place, record in enumerate(records)}
        for record, merge in merges_in(records):
            said = merge.identity
            if isinstance(said, MergeRecord) and said.payload and fold.needs(merge):
                visitor = partition_of((merge.anonymous or "").encode(), self._partitions)
                part = await self._folded(clauses, visitor, said.notice + 1)
                found[places[record.offset]] = part.brought(record, merge)
        for place, record in enumerate(records):
            split = split_in(record)
            if split is not None and is_nameless(split.user):
                part = await self._folded(clauses, partition, record.offset + 1)
                (found[place],) = part.taken([record])
        return found

    async def _folded(self, clauses: tuple[Condition, ...], partition: int, end: int) -> VisitorsAgain:
        """Return the fold of a partition, at or behind an offset."""
        parts = self._parts.setdefault(clauses, {})
        if (part := parts.get(partition)) is None:
            asked = AskedConditions(clauses=clauses) if clauses else None
            part = parts[partition] = VisitorsAgain(partition, asked)
        if part.position < end:
            async for records in self._read(partition, part.position, None):
                for some in parts_of(records):
                    again = part.awaited(some[0])
                    if again is not None:
                        await self._compute(part, some[0], again)
                    part.take(some)
        return part

    async def _compute(self, part: VisitorsAgain, record: Record, again: SplitAgain) -> None:
        """Compute the profile of a visitor's split again; a visitor's profile reads no merge records."""
        split = split_in(record)
        assert split is not None, "a split"
        while True:
            async for records in self._read(again.partition, again.position, split.before):
                again.take(part.taken(records), await self.watched(again.fold, records))
            if again.is_done():
                break
        part.give(record, again)
