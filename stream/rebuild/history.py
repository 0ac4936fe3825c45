"""The history of new clauses: a fold of the log beside the running one computes what they would remember.

1. Each partition is folded in memory from the beginning of the log, with the new conditions and without outputs.
2. A control record behind the configuration says that the clauses are unknown until their history is complete.
3. For each user with events that a clause remembers, one record carries the memory into the log. The running fold
   takes it if the user had no event since it was computed. The fold here reads its own records again, so it knows which
   were not taken, and sends those users' memory once more.
   After a login, the record that brings the visitor's profile has what the visitor's clauses in use remember. So the
   fold of the visitor's partition gives what new ones would remember (:mod:`stream.rebuild.partition_history`).
4. A last record in each partition says that the history is complete. From this place on, stages and segments are
   decided. Before it, every record between profiles was read that a visitor without the whole memory has given. And the
   numbers of users are compared with those that were shown.

Nothing is fenced, and no lane waits. A replay of the log finds the same records, so it comes to the same results.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from models.batch import Record
from models.errors import PerennialError
from models.fold.prospects import ConditionsPlan, ProspectiveCounts, counts_of
from models.log import EVENTS, BringHistory, HistoryComplete, encode_control
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import EventLog
from stream.rebuild.partition_history import HandedOver, PartitionHistory
from stream.rebuild.reading import OPTIONS, read_log, read_logs

MAX_USERS_PER_WRITE = 500
"""Maximum number of users whose memory is written at once. It bounds how old a memory is when it is written."""
MAX_WAITING = 20_000
"""Maximum number of records of a partition that wait for another partition; then the partition is not read for now."""
MERGES_WITHIN_S = 300.0
"""How long to wait for records between profiles, seconds."""
WAIT_S = 0.2
"""How long to wait before the log is read again, seconds."""


class MergesMissing(PerennialError):
    """Records between profiles that did not come in time; follow the message."""


class HistoryListener(Protocol):
    """Receiver of the progress of the history of clauses."""

    def planned(self, records: int) -> None:
        """Called when the total number of records to fold is known."""

    def folded(self, partition: int, position: int, now: int) -> None:
        """Called when a partition is folded up to an offset, where the log's time is ``now``, milliseconds."""


class Begin(NamedTuple):
    """The beginning of a partition of the log.

    Attributes
    ----------
    offset
        Offset of its first record.
    at
        Timestamp of its first record, milliseconds; 0 if the partition is empty or begins with offset 0.
    """

    offset: int
    at: int


class History:
    """The history of new clauses in all partitions.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    plan
        The change of conditions, with the clauses whose history is wanted.
    listener
        Receiver of the progress.
    """

    def __init__(
        self, connection: Connection, partitions: int, plan: ConditionsPlan, listener: HistoryListener
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._clauses = tuple(sorted(plan.clauses))
        self._listener = listener
        self._places = partitions_of(connection, EVENTS, partitions)
        self._begins = [0] * partitions
        self._handed = HandedOver(lambda visitor: self._begins[partition_of(visitor.encode(), partitions)])
        self._parts = [PartitionHistory(partition, plan, self._handed) for partition in range(partitions)]
        self._covered_from = 0

    def __repr__(self) -> str:
        return f"History({len(self._clauses)} clauses, {len(self._parts)} partitions)"

    def counts(self, *, is_brought: bool) -> ProspectiveCounts:
        """Return the numbers of users as if the conditions were applied at the places that are folded.

        Parameters
        ----------
        is_brought
            Whether the clauses get their history.
        """
        covered_from = self._covered_from if is_brought else None
        return counts_of([part.prospects(covered_from) for part in self._parts])

    async def fold(self) -> None:
        """Fold every partition from its beginning to its end.

        Raises
        ------
        BrokerUnavailable
            The log cannot be read.
        MergesMissing
            The folds do not compute what a visitor has handed over by the log.
        """
        begins, ends = await self._bounds()
        # A log that has lost its beginning has every event only after the maximum age of an accepted event.
        horizon = self._plan.wanted.events.horizon
        self._covered_from = max((begin.at + horizon for begin in begins if begin.offset), default=0)
        self._listener.planned(sum(ends) - sum(begin.offset for begin in begins))
        self._begins = [begin.offset for begin in begins]
        for part, begin in zip(self._parts, begins, strict=True):
            part.position = part.read_to = begin.offset
        await self._catch_up()

    @property
    def announcement(self) -> tuple[bytes, bytes]:
        """The control record, as key and value, from which on the clauses are unknown until they have their history.

        It directly follows the configuration. Otherwise, an old customer who buys between both would be a new one.
        """
        return encode_control(BringHistory(self._clauses))

    async def bring(self, log: EventLog) -> int:
        """Write the history into the log, and return the number of records that carry a user's memory.

        The configuration with the clauses is in use already, and the history is announced. :meth:`complete` has to
        follow.

        Raises
        ------
        BrokerUnavailable, LogUnavailable
            The log cannot be read or written. The clauses stay unknown: run the command again.
        MergesMissing
            See :meth:`fold`.
        """
        await self._catch_up()
        waiting = [(part, key) for part in self._parts for key in part.users()]
        on_their_way: set[str] | None = None
        written, deadline = 0, 0.0
        while waiting or on_their_way is None or on_their_way:
            chunk, waiting = waiting[:MAX_USERS_PER_WRITE], waiting[MAX_USERS_PER_WRITE:]
            records = [record for part, key in chunk for record in part.records_of([key])]
            written += len(records)
            if records:
                await log.write_at(records)
            if records or not waiting:
                waiting += await self._catch_up()
            if waiting or not all(part.is_taken for part in self._parts):
                continue
            # Every user has the whole memory now. A merge record that a visitor gave before may still bring too little.
            if on_their_way is None:
                on_their_way, deadline = self._handed.on_their_way, time.monotonic() + MERGES_WITHIN_S
            on_their_way &= self._handed.on_their_way
            if on_their_way:
                await self._wait(deadline)
        return written

    async def complete(self, log: EventLog) -> None:
        """Let the clauses of all partitions be known from now on.

        Raises
        ------
        LogUnavailable
            The log cannot be written. The clauses of some partitions stay unknown: run the command again.
        """
        complete = encode_control(HistoryComplete(self._clauses, self._covered_from))
        await log.write_at([(part.partition, *complete) for part in self._parts])

    async def _catch_up(self) -> list[tuple[PartitionHistory, bytes]]:
        """Fold all partitions to their ends, and return the users whose memory has to be written again."""
        again: list[tuple[PartitionHistory, bytes]] = []
        deadline = time.monotonic() + MERGES_WITHIN_S
        while True:
            positions = [part.read_to for part in self._parts]
            async for partition, records in read_logs(self._connection, positions, self._is_full):
                again += self._fold(partition, records)
                for part in self._parts:
                    again += await self._split(part)
            if not any(part.waiting for part in self._parts):
                return again
            if positions != [part.read_to for part in self._parts]:
                deadline = time.monotonic() + MERGES_WITHIN_S
            await self._wait(deadline)

    def _fold(self, partition: int, records: Sequence[Record]) -> list[tuple[PartitionHistory, bytes]]:
        """Fold records of a partition, and those of other partitions that have waited for them."""
        part = self._parts[partition]
        again = [(part, key) for key in part.fold(records)]
        moved = [part]
        while moved:
            before = [(one, one.position) for one in self._parts if one.waiting]
            again += [(one, key) for one, _ in before for key in one.fold([])]
            moved = [one for one, position in before if one.position != position]
        self._listener.folded(partition, part.position, part.now)
        return again

    async def _split(self, part: PartitionHistory) -> list[tuple[PartitionHistory, bytes]]:
        """Compute the splits for which a partition waits, and return the same as :meth:`_fold`."""
        again: list[tuple[PartitionHistory, bytes]] = []
        while (found := part.awaited_split) is not None:
            split, fold = found
            while True:
                begin = max(fold.position, self._begins[part.partition])
                async for records in read_log(self._connection, part.partition, begin, split.before):
                    fold.take(part.as_taken(records))
                if fold.is_done():
                    break
            part.give_split(fold)
            again += self._fold(part.partition, [])
        return again

    def _is_full(self, partition: int) -> bool:
        return self._parts[partition].waiting > MAX_WAITING

    async def _wait(self, deadline: float) -> None:
        """Wait a moment for records between profiles."""
        if time.monotonic() > deadline:
            raise MergesMissing(self._said())
        await asyncio.sleep(WAIT_S)

    def _said(self) -> str:
        for part in self._parts:
            if part.awaited is not None:
                offset, merge = part.awaited
                return (
                    f"partition {part.partition} of events has at offset {offset} what {merge.anonymous} has handed "
                    f"over to {merge.user} (merge {merge.id}), and this code does not compute it; use the code that "
                    f"wrote the log, or apply with --history from-now"
                )
        return (
            f"merge records were not moved into the log within {MERGES_WITHIN_S:g} s; start a worker, and apply with "
            f"the same file again"
        )

    async def _bounds(self) -> tuple[list[Begin], list[int]]:
        begins: list[Begin] = []
        async with TopicReader(self._connection, self._places, OPTIONS) as reader:
            starts, ends = await reader.begins(), await reader.ends()
            for place in self._places:
                at = 0
                if starts[place] and starts[place] < ends[place]:
                    first = await reader.poll(place, max_records=1)
                    at = first[place][0].timestamp
                begins.append(Begin(starts[place], at))
        return begins, [ends[place] for place in self._places]
