"""Counting workers under load, with faults; then the books are compared.

Every event must be copied once among committed outputs, and be counted once in its user's restored state, whatever was
killed, stalled or restarted. Seeded: the same seed does the same deeds to the same workers after the same pauses (what
the machine was doing at that moment is its own).
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.connection import Connection
from stream.restore import restore
from tests.brokers import ApacheKafka, create_topics
from tests.stream.workers import COUNTING, start_worker

Deed = Literal["kill", "terminate", "stall", "broker"]
Enough = Callable[[Counter[int]], bool]
USERS = 997


@dataclass
class Books:
    """What came of a run.

    Attributes
    ----------
    sent
        Events that were acknowledged.
    lost, twice
        Among committed copies.
    miscounted
        Users whose restored count is not the number of their events.
    exits
        How workers ended, by exit code.
    """

    sent: int
    lost: int
    twice: int
    miscounted: int
    exits: Counter[int] = field(default_factory=Counter)

    @property
    def balanced(self) -> bool:
        return self.sent > 0 and not (self.lost or self.twice or self.miscounted)


class Chaos:
    """One installation on one Apache Kafka, its workers supervised, under an open-loop load.

    Use it with ``async with``; do deeds; then :meth:`settle`.
    """

    def __init__(
        self,
        kafka: ApacheKafka,
        connection: Connection,
        folder: Path,
        *,
        seed: int,
        workers: int = 3,
        partitions: int = 6,
        rate: int = 2_000,
    ) -> None:
        self.connection = connection
        self._kafka = kafka
        self._random = random.Random(seed)
        self._log = folder / "workers.log"
        self._count = workers
        self._partitions = partitions
        self._rate = rate
        self._workers: list[subprocess.Popen[bytes]] = []
        self._exits: Counter[int] = Counter()
        self._sent = 0
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        topics = dict.fromkeys(("events", "copies", "profiles"), self._partitions)
        compacted = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0.1"}
        await asyncio.to_thread(create_topics, self.connection, topics, {"profiles": compacted})
        self._workers = [self._start() for _ in range(self._count)]
        self._tasks = [asyncio.create_task(self._supervise()), asyncio.create_task(self._load())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers:
            worker.kill()
            worker.wait()

    async def do(self, deed: Deed) -> None:
        """Do one deed to a worker, or to the broker."""
        worker = self._random.choice(self._workers)
        if deed == "kill":
            worker.kill()
        elif deed == "terminate":
            worker.terminate()
        elif deed == "stall":
            # Beyond its session, so that a successor stands beside it when it wakes up.
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.connection.session_timeout_s + self._random.uniform(1, 4))
            worker.send_signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(self._kafka.kill)
            await asyncio.sleep(self._random.uniform(0.2, 1))
            await asyncio.to_thread(self._kafka.start)

    async def do_all(self, deeds: Sequence[Deed], between_s: tuple[float, float] = (2, 6)) -> None:
        """Do several deeds with pauses between them."""
        for deed in deeds:
            await asyncio.sleep(self._random.uniform(*between_s))
            await self.do(deed)

    async def await_copies(self, count: int, within_s: float = 60) -> None:
        """Return when so many copies are committed."""
        async with asyncio.timeout(within_s):
            await self._read_copies(lambda copies: copies.total() >= count)

    async def settle(self, silence_s: float = 30) -> Books:
        """End the load, let the workers finish, and compare the books."""
        self._stopping = True
        await self._tasks[1]
        copies = await self._read_copies(lambda found: len(found) >= self._sent, silence_s)
        expected: Counter[bytes] = Counter(_user(number) for number in range(self._sent))
        counted: Counter[bytes] = Counter()
        for partition in range(self._partitions):
            restored = await restore(self.connection, "profiles", partition)
            counted.update({user: int(count) for user, count in restored.records.items()})
        return Books(
            sent=self._sent,
            lost=sum(1 for number in range(self._sent) if number not in copies),
            twice=sum(count - 1 for count in copies.values()),
            miscounted=sum(1 for user in expected | counted if expected[user] != counted[user]),
            exits=self._exits,
        )

    def _start(self) -> subprocess.Popen[bytes]:
        return start_worker(self.connection, self._log, COUNTING)

    async def _supervise(self) -> None:
        while True:
            for index, worker in enumerate(self._workers):
                if worker.poll() is not None:
                    self._exits[worker.returncode] += 1
                    self._workers[index] = self._start()
            await asyncio.sleep(0.1)

    async def _load(self) -> None:
        producer = AIOKafkaProducer(
            **self.connection.client_options(),
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            retry_backoff_ms=50,
            request_timeout_ms=120_000,  # a broker that is killed twice on a busy machine stays away for a while
        )
        await producer.start()
        topic, began, pending = self.connection.topic("events"), time.monotonic(), []
        try:
            while not self._stopping:
                while self._sent < (time.monotonic() - began) * self._rate:
                    user = _user(self._sent)
                    partition = self._sent % USERS % self._partitions
                    pending.append(await producer.send(topic, b"%d" % self._sent, key=user, partition=partition))
                    self._sent += 1
                if len(pending) > 20_000:
                    await asyncio.gather(*pending)
                    pending.clear()
                await asyncio.sleep(0.01)
            await asyncio.gather(*pending)
        finally:
            await producer.stop()

    async def _read_copies(self, enough: Enough, silence_s: float = 60) -> Counter[int]:
        consumer = AIOKafkaConsumer(
            **self.connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        copies: Counter[int] = Counter()
        await consumer.start()
        try:
            topic = self.connection.topic("copies")
            consumer.assign([TopicPartition(topic, partition) for partition in range(self._partitions)])
            last = time.monotonic()
            while not enough(copies) and time.monotonic() - last < silence_s:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    copies.update(int(record.value) for record in records)
                    last = time.monotonic()
            # What is twice may come behind the last that was missing.
            while self._stopping and (found := await consumer.getmany(timeout_ms=2_000)):
                for records in found.values():
                    copies.update(int(record.value) for record in records)
        finally:
            await consumer.stop()
        return copies


def _user(number: int) -> bytes:
    return b"u%d" % (number % USERS)
