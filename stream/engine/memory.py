"""A partition in memory, and everything around a lane that reads and writes it; see :mod:`stream.engine.testing`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from aiokafka.errors import ProducerFenced
from faust.types import TP

from models.batch import Checkpoint, Commit, Output, Record, Restored
from stream.cluster.writer import Pairs, check_size
from stream.engine.fetches import Fetch, ReadTo
from stream.engine.lane import Lane
from stream.engine.reports import CommitReport


class Crashed(Exception):
    """The crash that a test has planned."""


class Crash(NamedTuple):
    """A planned crash.

    Attributes
    ----------
    commit
        Number of the commit at which it happens, from 1. Commits that crash are counted too.
    when
        ``before commit``: nothing of the commit becomes durable. ``after commit``: the whole commit becomes durable,
        but the agent is not notified.
    """

    commit: int
    when: Literal["before commit", "after commit"]


class MemoryRecord(NamedTuple):
    """One record of a partition in memory; see :class:`models.batch.Record`."""

    offset: int
    key: bytes | None = None
    value: bytes | None = None
    timestamp: int = 0


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@dataclass
class MemoryPartition:
    """Everything that the committers of one partition made durable, and the faults that they meet.

    Attributes
    ----------
    position, memo, state
        Committed position, memo and state.
    outputs
        Committed records for other topics, in order.
    commits
        Commits in order, with their position and memo filled in.
    owners
        Number of times that a committer has taken the partition over.
    stopped
        Number of committers that have stopped.
    failures
        Errors of the next commits, each raised once, before anything becomes durable.
    crashes
        Planned crashes.
    attempts
        Number of commits that have begun.
    fence_gate, restore_gate, commit_gate
        Set while fencing, restoring and committing can continue.
    fence_begun, commit_begun
        Set when fencing, or a commit, has begun; a test clears them.
    """

    position: int = 0
    memo: bytes = b""
    state: dict[bytes, bytes] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    owners: int = 0
    stopped: int = 0
    failures: list[BaseException] = field(default_factory=list)
    crashes: Sequence[Crash] = ()
    attempts: int = 0
    fence_gate: asyncio.Event = field(default_factory=_open_gate)
    restore_gate: asyncio.Event = field(default_factory=_open_gate)
    commit_gate: asyncio.Event = field(default_factory=_open_gate)
    fence_begun: asyncio.Event = field(default_factory=asyncio.Event)
    commit_begun: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryCommitter:
    """Committer of a partition in memory. It fences as Kafka does: only the newest owner commits.

    Parameters
    ----------
    partition
        The partition.
    """

    def __init__(self, partition: MemoryPartition) -> None:
        self._partition = partition
        self._owner = 0

    def __repr__(self) -> str:
        return f"<MemoryCommitter owner={self._owner} of {self._partition.owners}>"

    async def fence(self) -> None:
        """Replace the previous owner."""
        self._partition.fence_begun.set()
        await self._partition.fence_gate.wait()
        self._partition.owners += 1
        self._owner = self._partition.owners

    async def restore(self) -> Restored:
        """Return the committed state."""
        await self._partition.restore_gate.wait()
        partition = self._partition
        return Restored(0, partition.position, partition.memo, dict(partition.state))

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Make a commit durable, unless a fault was planned, or another owner has taken the partition over."""
        partition = self._partition
        partition.attempts += 1
        number = partition.attempts
        for topic, key, value in commit.records:
            check_size(topic, key, value)
        for key, value in commit.state.items():
            check_size("state", key, value)
        partition.commit_begun.set()
        await partition.commit_gate.wait()
        if self._owner != partition.owners:
            raise ProducerFenced
        if partition.failures:
            raise partition.failures.pop(0)
        if Crash(number, "before commit") in partition.crashes:
            raise Crashed(f"before commit {number}")
        partition.commits.append(Commit(commit.records, commit.state, checkpoint.memo, checkpoint.position))
        partition.outputs.extend(commit.records)
        restored = Restored(0, partition.position, partition.memo, partition.state)
        restored.apply(commit)
        partition.position, partition.memo = checkpoint
        if Crash(number, "after commit") in partition.crashes:
            raise Crashed(f"after commit {number}")

    async def stop(self) -> None:
        """Count the end of this committer."""
        self._partition.stopped += 1


class MemoryWriter:
    """Writer that keeps what lanes write outside of commits.

    Attributes
    ----------
    ticks
        Topic, partition and records of each write to one partition.
    broadcasts
        Topic and records of each write to all partitions.
    wrote
        Set after each write.
    """

    def __init__(self) -> None:
        self.ticks: list[tuple[str, int, Pairs]] = []
        self.broadcasts: list[tuple[str, Pairs]] = []
        self.wrote = asyncio.Event()

    async def send_to(self, topic: str, partition: int, pairs: Pairs) -> None:
        """Keep records for one partition."""
        self.ticks.append((topic, partition, pairs))
        self.wrote.set()

    async def send_everywhere(self, topic: str, pairs: Pairs) -> None:
        """Keep records for all partitions of a topic."""
        self.broadcasts.append((topic, pairs))
        self.wrote.set()


class MemoryFetcher:
    """A log that is fetched for one lane while the lane is ready; see :class:`stream.engine.fetches.Fetcher`.

    Parameters
    ----------
    records
        Records of the log, in offset order.
    max_fetch
        Maximum number of records in one fetch.

    Attributes
    ----------
    seeks
        Offsets of all seeks, in order.
    fail_seeks
        Errors of the next seeks, each raised once.
    lose_next
        Whether the next fetch is lost on its way to the lane.
    start, end
        Bounds of the log, as the broker reports them.
    epoch
        Epoch of the last seek.
    """

    member = "memory"
    generation = 1
    failure = None

    def __init__(self, records: Iterable[Record], max_fetch: int = 100) -> None:
        self.records = list(records)
        self.max_fetch = max_fetch
        self.seeks: list[int] = []
        self.fail_seeks: list[Exception] = []
        self.lose_next = False
        self.start = 0
        self.end: int | None = None
        self.epoch = 0
        self.committed: dict[TP, int] = {}
        self._sequence = 0
        self._position = 0
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Ask again whether the lane is ready."""
        self._changed.set()

    def append(self, *records: Record) -> None:
        """Append records to the log."""
        self.records.extend(records)
        self._changed.set()

    def read_to(self, tp: TP) -> ReadTo:  # noqa: ARG002 - it has one partition
        """Return the progress of the reading."""
        end = self.records[-1].offset + 1 if self.records else self.start
        return ReadTo(self.epoch, self._sequence, self._position, end)

    async def seek(self, tp: TP, offset: int) -> int:  # noqa: ARG002 - it has one partition
        """Continue at ``offset``; return the epoch of the fetches that follow."""
        await asyncio.sleep(0)
        if self.fail_seeks:
            raise self.fail_seeks.pop(0)
        self.seeks.append(offset)
        self.epoch += 1
        self._sequence, self._position = 0, offset
        return self.epoch

    async def bounds(self, tp: TP) -> tuple[int, int | None]:  # noqa: ARG002 - it has one partition
        """Return the bounds of the log."""
        await asyncio.sleep(0)
        return self.start, self.end

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the group's committed offset."""
        return self.committed.get(tp)

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit the group's offsets."""
        self.committed.update(offsets)

    async def feed(self, lane: Lane) -> None:
        """Give fetches to the lane until cancelled."""
        while True:
            found = [record for record in self.records if record.offset >= self._position][: self.max_fetch]
            if not (lane.is_ready and found):
                await self._changed.wait()
                self._changed.clear()
                continue
            fetch = Fetch(found, self.epoch, self._sequence)
            self._sequence += 1
            self._position = found[-1].offset + 1
            is_lost, self.lose_next = self.lose_next, False
            if not is_lost:
                lane.put(fetch)
            await asyncio.sleep(0)


class RecordingObserver:
    """Observer that keeps what lanes report.

    Attributes
    ----------
    opened_lanes
        Number of times that a lane was opened.
    commits
        Reports of all commits, in order.
    errors
        Errors of runs, in order.
    """

    def __init__(self) -> None:
        self.opened_lanes = 0
        self.commits: list[CommitReport] = []
        self.errors: list[BaseException] = []

    @property
    def committed_records(self) -> int:
        """Number of records whose batches are committed completely."""
        return sum(report.records for report in self.commits)

    def opened(self, topic: str, seconds: float) -> None:  # noqa: ARG002 - it keeps less than metrics do
        """Count a lane that was opened."""
        self.opened_lanes += 1

    def committed(self, report: CommitReport) -> None:
        """Keep the report of a commit."""
        self.commits.append(report)

    def failed(self, topic: str, error: BaseException) -> None:  # noqa: ARG002 - it keeps less than metrics do
        """Keep the error of a run."""
        self.errors.append(error)
