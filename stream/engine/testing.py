"""Tests of agents without Kafka: a list of records in, everything that became durable out, and a script of crashes.

:func:`process` is enough for most tests. It gives records to an agent through a real lane, whose broker is a
:class:`MemoryPartition`. A crash ends the run of the lane, as the death of a process would. The next run begins with
what is committed. So a test shows that an agent counts each record exactly once, wherever its process dies.

Examples
--------
An agent counts the records of each user. Its process dies twice: before its first commit, and after its third.

>>> import asyncio, functools
>>> from models.batch import Commit, Outputs
>>> from stream.engine.agent_spec import Stateful
>>> async def count(batches, *, state):
...     async for batch in batches:
...         for record in batch.records:
...             number = int(state.records.get(record.key, b"0")) + 1
...             yield Outputs(Commit(state={record.key: b"%d" % number}, position=record.offset + 1))
>>> spec = Stateful(
...     name="count", topic="events", state="counts", agent=lambda state, wake: functools.partial(count, state=state)
... )
>>> records = [MemoryRecord(offset, key=b"ann" if offset < 3 else b"bob") for offset in range(5)]
>>> crashes = [Crash(1, "before commit"), Crash(3, "after commit")]
>>> done = asyncio.run(process(spec, records, crashes=crashes))
>>> done.state, done.position, done.owners
({b'ann': b'3', b'bob': b'2'}, 5, 3)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self, cast

from aiokafka.errors import ProducerFenced
from faust.types import TP

from models.batch import Checkpoint, Commit, Output, Record, Restored
from stream.cluster.writer import Pairs, Writer
from stream.engine.agent_spec import AgentSpec
from stream.engine.context import Assignment, Clocks, LaneContext, LaneTimes
from stream.engine.fetches import Fetch, ReadTo
from stream.engine.lane import Lane
from stream.engine.reports import CommitReport

__all__ = [
    "Crash",
    "Crashed",
    "LaneHarness",
    "ManualClocks",
    "MemoryCommitter",
    "MemoryFetcher",
    "MemoryPartition",
    "MemoryRecord",
    "MemoryWriter",
    "RecordingObserver",
    "process",
]

QUICK = LaneTimes(idle_commit_s=0.02, min_backoff_s=0.001, max_backoff_s=0.01, tick_again_s=0.02)
"""Durations for tests: a lane starts again, and commits while idle, almost at once."""


class Crashed(Exception):
    """The crash that a test has planned."""


class Crash(NamedTuple):
    """A planned crash.

    Attributes
    ----------
    commit
        Number of the commit at which it happens, from 1. Commits that crash are counted too.
    when
        ``before commit``: nothing of it becomes durable. ``after commit``: all of it does, and the agent never learns
        it.
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
        Set while fencing, restoring and committing can go on.
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
        """Become the newest owner."""
        self._partition.fence_begun.set()
        await self._partition.fence_gate.wait()
        self._partition.owners += 1
        self._owner = self._partition.owners

    async def restore(self) -> Restored:
        """Return what is committed."""
        await self._partition.restore_gate.wait()
        partition = self._partition
        return Restored(0, partition.position, partition.memo, dict(partition.state))

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Make a commit durable, unless a fault was planned, or another owner has taken the partition over."""
        partition = self._partition
        partition.attempts += 1
        number = partition.attempts
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
        """Return how far the log is read."""
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


@dataclass
class ManualClocks:
    """Clocks that move only when a test moves them.

    Attributes
    ----------
    wall_s
        Seconds since the epoch.
    monotonic_s
        Seconds of the monotonic clock.
    """

    wall_s: float = 1_000.0
    monotonic_s: float = 0.0

    def clocks(self) -> Clocks:
        """Return them in the form that a lane takes."""
        return Clocks(wall=lambda: self.wall_s, monotonic=lambda: self.monotonic_s)


class LaneHarness:
    """A lane with everything around it in memory, for tests of the lane itself; use it with ``async with``.

    Parameters
    ----------
    spec
        The agent.
    records
        Records of its log.
    partition
        Committed state, and planned faults.
    max_fetch
        Maximum number of records in one fetch.
    clocks
        Clocks of the lane; manual ones by default, which are :attr:`manual`.
    times
        Durations of the lane.

    Attributes
    ----------
    lane, partition, fetcher, writer, observer
        The lane, and its surroundings.
    tp
        Physical topic and partition.
    manual
        Manual clocks; the lane uses them unless others were given.
    fenced
        Set when the lane has reported that another process owns its partition.
    """

    def __init__(
        self,
        spec: AgentSpec,
        records: Iterable[Record] = (),
        partition: MemoryPartition | None = None,
        max_fetch: int = 100,
        clocks: Clocks | None = None,
        times: LaneTimes = QUICK,
    ) -> None:
        self.partition = partition or MemoryPartition()
        self.fetcher = MemoryFetcher(records, max_fetch)
        self.writer = MemoryWriter()
        self.observer = RecordingObserver()
        self.manual = ManualClocks()
        self.fenced = asyncio.Event()
        topic = spec.topics[0]
        self.tp = TP(f"t.{topic}", 0)
        context = LaneContext(
            fetcher=self.fetcher,
            writer=cast("Writer", self.writer),
            observer=self.observer,
            on_ready=lambda *_: self.fetcher.wake(),
            on_fenced=lambda _: self.fenced.set(),
            clocks=clocks or self.manual.clocks(),
            times=times,
        )
        assignment = Assignment(self.tp, topic, spec)
        self.lane = Lane(assignment, context, lambda: MemoryCommitter(self.partition))
        self._feeding: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<LaneHarness of {self.lane!r}>"

    async def __aenter__(self) -> Self:
        self._feeding = asyncio.create_task(self.fetcher.feed(self.lane))
        self.lane.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait([self._feeding])
        await self.lane.close()

    async def until(self, condition: Callable[[], bool], within_s: float = 5) -> None:
        """Return when the condition is true; raise ``TimeoutError`` after ``within_s`` seconds."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - no single event tells all that a test may wait for
                await asyncio.sleep(0.001)

    async def let_run(self, turns: int = 50) -> None:
        """Give all tasks so many turns that each of them waits for something that the test controls."""
        for _ in range(turns):
            await asyncio.sleep(0)


async def process(
    spec: AgentSpec,
    records: Sequence[Record],
    *,
    partition: MemoryPartition | None = None,
    crashes: Sequence[Crash] = (),
    within_s: float = 5,
) -> MemoryPartition:
    """Process records with an agent until all are committed; return everything that became durable.

    Parameters
    ----------
    spec
        The agent. An agent without state is driven in the same way; only its state stays empty.
    records
        Records of one partition, in offset order.
    partition
        What is committed before; nothing by default.
    crashes
        Planned crashes. The lane begins a new run after each.
    within_s
        How long all of it may take, seconds.

    Raises
    ------
    TimeoutError
        The records were not committed in time. The agent may hang, or fail in each run.
    """
    partition = partition or MemoryPartition()
    partition.crashes = crashes
    end = records[-1].offset + 1 if records else partition.position
    async with LaneHarness(spec, records, partition, clocks=Clocks()) as harness:
        await harness.until(lambda: harness.lane.position is not None and partition.position >= end, within_s)
        async with asyncio.timeout(within_s):
            await harness.lane.drain()
    return partition
