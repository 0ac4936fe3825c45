"""Tests of agents without Kafka: from records and a script of crashes to everything that became durable.

:func:`process` is enough for most tests. It gives records to an agent through a real lane, whose broker is a
:class:`MemoryPartition`. A crash ends the run of the lane, as the death of a process would. The next run begins with
the committed state. So a test shows that an agent counts each record exactly once, wherever its process dies.

Examples
--------
An agent counts the records of each user. Its process dies twice: before its first commit, and after its third.

>>> import asyncio, functools
>>> from models.batch import Commit, Outputs
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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self, cast

from faust.types import TP

from models.batch import Record
from stream.cluster.writer import Writer
from stream.engine.agent_spec import AgentSpec, Relay, Stateful
from stream.engine.context import Assignment, Clocks, LaneContext, LaneTimes
from stream.engine.lane import Lane
from stream.engine.memory import (
    Crash,
    Crashed,
    MemoryCommitter,
    MemoryFetcher,
    MemoryPartition,
    MemoryRecord,
    MemoryWriter,
    RecordingObserver,
)

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
    "Relay",
    "Stateful",
    "process",
]

QUICK = LaneTimes(idle_commit_s=0.02, min_backoff_s=0.001, max_backoff_s=0.01, tick_again_s=0.02)
"""Durations for tests: a lane starts again, and commits while idle, almost immediately."""


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
        """Return both clocks in the form that a lane takes."""
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
            while not condition():  # noqa: ASYNC110 - no single event covers everything that a test may wait for
                await asyncio.sleep(0.001)

    async def let_run(self, turns: int = 50) -> None:
        """Let all tasks run until each of them waits for something that the test controls."""
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
        Partition with earlier commits; by default, an empty one.
    crashes
        Planned crashes. The lane begins a new run after each.
    within_s
        Maximum time for all records and runs, seconds.

    Raises
    ------
    TimeoutError
        The records were not committed in time. The agent may hang, or fail in each run; then the error names and
        chains the failure of the last run.
    ValueError
        A planned crash did not happen, because there were fewer commits.
    """
    partition = partition or MemoryPartition()
    partition.crashes = crashes
    end = records[-1].offset + 1 if records else partition.position
    async with LaneHarness(spec, records, partition, clocks=Clocks()) as harness:
        try:
            await harness.until(lambda: harness.lane.position is not None and partition.position >= end, within_s)
            async with asyncio.timeout(within_s):
                await harness.lane.drain()
        except TimeoutError as error:
            failures = [failure for failure in harness.observer.errors if not isinstance(failure, Crashed)]
            raise TimeoutError(_describe(partition, end, within_s, failures)) from (failures[-1] if failures else error)
    if missed := [crash for crash in crashes if crash.commit > partition.attempts]:
        raise ValueError(f"planned crashes {missed} did not happen: there were {partition.attempts} commits")
    return partition


def _describe(partition: MemoryPartition, end: int, within_s: float, failures: Sequence[BaseException]) -> str:
    text = f"committed to {partition.position} of {end} within {within_s} s"
    return f"{text}; the last run failed with {failures[-1]!r}" if failures else f"{text}; no run failed"
