"""The history of new clauses: a fold of the log beside the running one computes what they would remember.

1. Each partition is folded in memory from the beginning of the log, with the new conditions and without outputs.
2. A control record behind the configuration says that the clauses are unknown until their history is complete.
3. For each user with events that a clause remembers, one record carries the memory into the log. The running fold
   takes it if the user had no event since it was computed. The fold here reads its own records again, so it knows which
   were not taken, and sends those users' memory once more.
4. A last record says that the history of the partition is complete. From this place on, stages and segments
   are decided.

Nothing is fenced and nothing waits. A replay of the log finds the same records, so it comes to the same results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from models.batch import Batch, Record, Restored
from models.fold.conditions_in_use import AskedConditions
from models.fold.members import key_of, read_members
from models.fold.partition import PartitionFold
from models.log import (
    EVENTS,
    BringHistory,
    HistoryComplete,
    UserHistory,
    decode_control,
    encode_control,
    is_control,
)
from models.profile.codec import unpack
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import EventLog
from stream.rebuild.reading import OPTIONS, read_log

MAX_USERS_PER_WRITE = 500
"""Maximum number of users whose memory is written at once. It bounds how old a memory is when it is written."""


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


class PartitionHistory:
    """The fold of one partition for the history of its users.

    Parameters
    ----------
    partition
        Number of the partition.
    asked, clauses
        The new conditions, and the numbers of the clauses whose history is wanted.
    """

    def __init__(self, partition: int, asked: AskedConditions, clauses: frozenset[int]) -> None:
        self.partition = partition
        self.position = 0
        self._segments = asked.segments
        self._clauses = clauses
        self._state = Restored(partition=partition)
        self._fold = PartitionFold(self._state, watched=asked)
        self._sent: dict[bytes, int] = {}
        self._newest: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"PartitionHistory({self.partition}, at {self.position}, {len(self._sent)} records under way)"

    @property
    def now(self) -> int:
        """The log's time at the position, milliseconds."""
        return self._fold.now

    def users(self) -> list[bytes]:
        """Return the keys of all users."""
        return [key for key in self._state.records if not is_control(key)]

    def members(self) -> Counter[str]:
        """Return the number of members of each segment."""
        return Counter(
            {one.name: read_members(self._state.records.get(key_of(one.name))).number for one in self._segments}
        )

    def fold(self, records: Sequence[Record]) -> list[bytes]:
        """Fold records of the log, and return the keys of the users whose memory was not taken."""
        outputs = self._fold.fold(Batch(EVENTS, self.partition, records))
        self._state.apply(outputs.commit)
        self.position = self._state.position = records[-1].offset + 1
        return [key for record in records for key in self._not_taken(record)] if self._sent else []

    def _not_taken(self, record: Record) -> Iterable[bytes]:
        key = record.key or b""
        if not is_control(key):
            if key in self._sent:
                self._newest[key] = record.offset
            return
        control = decode_control(record.value or b"")
        if isinstance(control, UserHistory) and self._sent.get(user := control.user.encode()) == control.before:
            del self._sent[user]
            if self._newest.pop(user, -1) >= control.before:
                yield user

    def records_of(self, keys: Iterable[bytes]) -> list[tuple[int, bytes, bytes]]:
        """Return the records with the memory of users, to be written now; none for users without a memory."""
        found = []
        for key in keys:
            facts = unpack(self._state.records[key]).facts
            entries = facts.clauses.entries if facts.clauses is not None else {}
            wanted = {number: content for number, content in entries.items() if number in self._clauses}
            if not wanted and facts.first_seen and facts.known_since >= facts.first_seen:
                continue  # a user without a memory needs no record, unless the first event was no visit
            self._sent[key] = self.position
            history = UserHistory(key.decode(), self.position, facts.known_since, wanted)
            found.append((self.partition, *encode_control(history)))
        return found

    @property
    def is_taken(self) -> bool:
        """Whether all records that were written have been read again."""
        return not self._sent


class History:
    """The history of new clauses in all partitions.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    asked
        The segments and the lifecycle that are to be applied.
    clauses
        Numbers of the clauses whose history is wanted.
    horizon
        Maximum age of an accepted event, milliseconds. A log that has lost its beginning has every event only after it.
    listener
        Receiver of the progress.
    """

    def __init__(
        self,
        connection: Connection,
        partitions: int,
        asked: AskedConditions,
        clauses: frozenset[int],
        horizon: int,
        listener: HistoryListener,
    ) -> None:
        self._connection = connection
        self._segments = asked.segments
        self._clauses = clauses
        self._horizon = horizon
        self._listener = listener
        self._places = partitions_of(connection, EVENTS, partitions)
        self._parts = [PartitionHistory(partition, asked, clauses) for partition in range(partitions)]
        self._covered_from = 0

    def __repr__(self) -> str:
        return f"History({len(self._clauses)} clauses, {len(self._parts)} partitions)"

    @property
    def users(self) -> int:
        """Number of users of the log so far."""
        return sum(len(part.users()) for part in self._parts)

    def members(self) -> Mapping[str, int]:
        """Return the number of members of each segment at the places that are folded."""
        found = Counter({segment.name: 0 for segment in self._segments})
        for part in self._parts:
            found.update(part.members())
        return found

    async def fold(self) -> None:
        """Fold every partition from its beginning to its end.

        Raises
        ------
        BrokerUnavailable
            The log cannot be read.
        """
        begins, ends = await self._bounds()
        self._covered_from = max((begin.at + self._horizon for begin in begins if begin.offset), default=0)
        self._listener.planned(sum(ends) - sum(begin.offset for begin in begins))
        for part, begin in zip(self._parts, begins, strict=True):
            part.position = begin.offset
            await self._catch_up(part)

    @property
    def announcement(self) -> tuple[bytes, bytes]:
        """The control record, as key and value, from which on the clauses are unknown until they have their history.

        It directly follows the configuration. Otherwise, an old customer who buys between both would be a new one.
        """
        return encode_control(BringHistory(tuple(sorted(self._clauses))))

    async def bring(self, log: EventLog) -> int:
        """Write the history into the log, and return the number of records that carry a user's memory.

        The configuration with the clauses is in use already, and the history is announced.

        Raises
        ------
        BrokerUnavailable, LogUnavailable
            The log cannot be read or written. The clauses stay unknown: run the command again.
        """
        written = 0
        for part in self._parts:
            written += await self._bring_one(part, log)
        return written

    async def _bring_one(self, part: PartitionHistory, log: EventLog) -> int:
        await self._catch_up(part)
        waiting, written = part.users(), 0
        while waiting or not part.is_taken:
            records = part.records_of(waiting[:MAX_USERS_PER_WRITE])
            waiting = waiting[MAX_USERS_PER_WRITE:]
            if records:
                await log.write_at(records)
                written += len(records)
            if records or not waiting:
                waiting += await self._catch_up(part)
        complete = HistoryComplete(tuple(sorted(self._clauses)), self._covered_from)
        await log.write_at([(part.partition, *encode_control(complete))])
        return written

    async def _catch_up(self, part: PartitionHistory) -> list[bytes]:
        """Fold a partition to its end, and return the keys of the users whose memory was not taken."""
        again: list[bytes] = []
        async for records in read_log(self._connection, part.partition, part.position):
            again += part.fold(records)
            self._listener.folded(part.partition, part.position, part.now)
        return again

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
