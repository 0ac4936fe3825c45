"""A broker in a test's memory, behind the seams of a lane: its source, its committer, its writer, its observer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self, cast

from aiokafka.errors import ProducerFenced
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from models.batch import Checkpoint, Commit, Output, Outputs, Restored
from stream.cluster.writer import Pairs, Writer
from stream.engine.agent_spec import Edge
from stream.engine.context import Surroundings
from stream.engine.lane import Lane
from stream.transport.consumer import Delivery

EVENTS = TP("t.events", 0)


def record(offset: int, key: bytes = b"u1", value: bytes | None = None, timestamp: int = 0) -> ConsumerRecord:
    """A record as aiokafka shows it."""
    content = b"%d" % offset if value is None else value
    return ConsumerRecord("t.events", 0, offset, timestamp, 0, key, content, None, len(key), len(content), ())


@dataclass
class Partition:
    """What one partition's committers made durable, and what they shall meet."""

    position: int = 0
    memo: bytes = b""
    state: dict[bytes, bytes] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    owners: int = 0
    failures: list[BaseException] = field(default_factory=list)
    stopped: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    fence_gate: asyncio.Event = field(default_factory=asyncio.Event)
    restore_gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.fence_gate.set()
        self.restore_gate.set()


class MemoryCommitter:
    """Fences like Kafka does: only the newest owner commits."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._owner = 0

    async def fence(self) -> None:
        await self._partition.fence_gate.wait()
        self._partition.owners += 1
        self._owner = self._partition.owners

    async def restore(self) -> Restored:
        await self._partition.restore_gate.wait()
        return Restored(0, self._partition.position, self._partition.memo, dict(self._partition.state))

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        partition = self._partition
        await partition.gate.wait()
        if self._owner != partition.owners:
            raise ProducerFenced
        if partition.failures:
            raise partition.failures.pop(0)
        partition.commits.append(replace(commit, position=checkpoint.position, memo=checkpoint.memo))
        partition.outputs.extend(commit.records)
        partition.position, partition.memo = checkpoint
        for key, value in commit.state.items():
            if value is None:
                partition.state.pop(key, None)
            else:
                partition.state[key] = value

    async def stop(self) -> None:
        self._partition.stopped += 1


class MemoryWriter:
    """Keeps what was written outside of commits."""

    def __init__(self) -> None:
        self.ticks: list[tuple[str, int, Pairs]] = []
        self.broadcasts: list[tuple[str, Pairs]] = []
        self.wrote = asyncio.Event()

    async def send_to(self, topic: str, partition: int, pairs: Pairs) -> None:
        self.ticks.append((topic, partition, pairs))
        self.wrote.set()

    async def send_everywhere(self, topic: str, pairs: Pairs) -> None:
        self.broadcasts.append((topic, pairs))
        self.wrote.set()


class MemorySource:
    """A log that is delivered to one lane while it is ready, ``chunk`` records at a time."""

    def __init__(self, records: list[ConsumerRecord], chunk: int = 100) -> None:
        self.records = records
        self.chunk = chunk
        self.seeks: list[int] = []
        self.fail_seeks: list[Exception] = []
        self.epoch = 0
        self.lose_next = False
        self.start = 0
        self.end: int | None = None
        self._sequence = 0
        self._position = 0
        self._changed = asyncio.Event()

    async def seek(self, tp: TP, offset: int) -> int:
        await asyncio.sleep(0)
        if self.fail_seeks:
            raise self.fail_seeks.pop(0)
        self.seeks.append(offset)
        self.epoch += 1
        self._sequence, self._position = 0, offset
        return self.epoch

    async def bounds(self, tp: TP) -> tuple[int, int | None]:
        await asyncio.sleep(0)
        return self.start, self.end

    def lane_changed(self, lane: Lane) -> None:
        self._changed.set()

    def append(self, *records: ConsumerRecord) -> None:
        self.records.extend(records)
        self._changed.set()

    async def pump(self, lane: Lane) -> None:
        """Deliver until cancelled."""
        while True:
            found = [entry for entry in self.records if entry.offset >= self._position][: self.chunk]
            if not (lane.ready and found):
                await self._changed.wait()
                self._changed.clear()
                continue
            delivery = Delivery(found, self.epoch, self._sequence)
            self._sequence += 1
            self._position = found[-1].offset + 1
            lost, self.lose_next = self.lose_next, False
            if not lost:
                lane.put(delivery)
            await asyncio.sleep(0)


class Recorder:
    """Remembers what it observes."""

    def __init__(self) -> None:
        self.committed_records = 0
        self.errors: list[BaseException] = []
        self.counts: dict[tuple[str, ...], float] = {}
        self._changed = asyncio.Condition()
        self.commits = 0
        self.happened = asyncio.Event()

    def opened(self, lane: Lane, seconds: float) -> None:
        pass

    def committed(self, lane: Lane, records: int, seconds: float, outputs: Outputs) -> None:
        self.commits += 1
        self.committed_records += records
        self.counts.update(outputs.counts)
        self.happened.set()

    def failed(self, lane: Lane, error: BaseException) -> None:
        self.errors.append(error)
        self.happened.set()


class Bench:
    """A lane with everything around it in memory; use it with ``async with``."""

    def __init__(
        self,
        edge: Edge,
        records: list[ConsumerRecord] | None = None,
        partition: Partition | None = None,
        chunk: int = 100,
    ) -> None:
        self.partition = partition or Partition()
        self.source = MemorySource(list(records or ()), chunk)
        self.writer = MemoryWriter()
        self.observer = Recorder()
        self.fenced = asyncio.Event()
        self.now = 1_000.0
        around = Surroundings(
            source=self.source,
            writer=cast("Writer", self.writer),
            fenced=lambda _: self.fenced.set(),
            observer=self.observer,
            clock=lambda: self.now,
        )
        self.lane = Lane(EVENTS, "events", edge, lambda: MemoryCommitter(self.partition), around)
        self._pumping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._pumping = asyncio.create_task(self.source.pump(self.lane))
        self.lane.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._pumping is not None
        self._pumping.cancel()
        await asyncio.wait([self._pumping])
        await self.lane.close()

    async def until(self, condition: Callable[[], bool], within_s: float = 5) -> None:
        """Wait until the condition holds."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - a test looks at more than one event could tell
                await asyncio.sleep(0.001)
