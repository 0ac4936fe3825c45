"""Seconds from ``kill -9`` of a fold to its next folded event, including the join of its group, under a supervisor.

Probes are sent all the time, to one partition after the other. Only probes that were sent after the kill count. Two
times are measured: until the first interaction can be read, and until one can be read in every partition.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from models.events import Event, encode_event
from models.recommend.interactions import decode_interaction
from models.units import MINUTE
from stream.cluster.connection import Connection
from tests.benchmarks import worker
from tests.benchmarks.broker import Kind, a_broker
from tests.benchmarks.memory import line
from tests.benchmarks.profiles import Month, fold_a_month, populate
from tests.benchmarks.report import BenchReport, Spread
from tests.support.processes import roles_below

PATIENCE_S = 180.0
EVERY_S = 0.02


def measure(kind: Kind, *, sizes: Sequence[int], runs: int, partitions: int, seed: int, output: Path | None) -> None:
    """Kill a fold ``runs`` times for each number of profiles, and report."""
    report = BenchReport("restart", output, partitions=partitions, seed=seed)
    report.say("a month of the simulated shop is folded")
    month = fold_a_month(seed=seed)
    found: list[dict[str, Any]] = []
    with a_broker(kind) as broker:
        for users in sizes:
            connection = broker.connection()
            report.say(f"{users:,} profiles are written")
            homes = populate(connection, partitions, users, month)
            with (
                tempfile.TemporaryDirectory(prefix="bench-restart-") as name,
                worker.supervised(connection, partitions, Path(name)) as supervisor,
            ):
                kills = asyncio.run(_kills(connection, supervisor, homes, month, runs))
            first, every = (Spread.of(values) for values in zip(*kills, strict=True))
            found.append({"users": users, "first_s": first, "every_s": every})
            report.say(f"{users:,} users: {first.show('.1f')} s, every partition {every.show('.1f')} s")
    report.table(
        f"From kill -9 to the next folded event, s; {broker.name}",
        ("users", "first event", "in every partition"),
        [(f"{one['users']:,}", one["first_s"].show(".1f"), one["every_s"].show(".1f")) for one in found],
    )
    if len(found) > 1:
        fixed, each = line([(one["users"], one["every_s"].median) for one in found])
        report.put(formula={"fixed_s": fixed, "seconds_per_million_users": each * 1e6})
        report.say(f"seconds = {fixed:.1f} + {each * 1e6:.1f} x million users")
    report.put(broker=broker.name, sizes=found)
    report.write()


async def _kills(
    connection: Connection,
    supervisor: subprocess.Popen[bytes],
    homes: dict[int, list[bytes]],
    month: Month,
    runs: int,
) -> list[tuple[float, float]]:
    probes = _Probes(connection, homes, month)
    sending, reading = asyncio.create_task(probes.send()), asyncio.create_task(probes.read())
    try:
        await probes.next_in_every_partition()
        found = []
        for _ in range(runs):
            os.kill(roles_below(supervisor.pid)["fold"], signal.SIGKILL)
            killed = time.monotonic()
            first, every = await probes.next_in_every_partition()
            found.append((first - killed, every - killed))
        return found
    finally:
        for task in (sending, reading):
            task.cancel()
        for result in await asyncio.gather(sending, reading, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


class _Probes:
    """Numbered events for one user in each partition, sent to one partition after the other."""

    def __init__(self, connection: Connection, homes: dict[int, list[bytes]], month: Month) -> None:
        self._connection = connection
        self._users = [homes[partition][0] for partition in sorted(homes)]
        self._at = month.end + MINUTE
        self._sent = 0
        self._wanted: dict[int, float | None] = {}
        self._after = 0
        self._all = asyncio.Event()

    async def next_in_every_partition(self) -> tuple[float, float]:
        """Return the times at which the first and the last partition answered a probe that was sent after this call."""
        self._after = self._sent
        self._wanted = dict.fromkeys(range(len(self._users)))
        self._all.clear()
        async with asyncio.timeout(PATIENCE_S):
            await self._all.wait()
        moments = [moment for moment in self._wanted.values() if moment is not None]
        return min(moments), max(moments)

    async def send(self) -> None:
        producer = AIOKafkaProducer(**self._connection.client_options(), linger_ms=0)
        await producer.start()
        try:
            while True:
                number, self._sent = self._sent, self._sent + 1
                partition = number % len(self._users)
                user = self._users[partition]
                event = Event(
                    id=f"restart-{number}",
                    user=user.decode(),
                    type="product_view",
                    at=self._at,
                    origin="simulate",
                    item=f"probe-{number}",
                )
                topic = self._connection.topic("events")
                await producer.send_and_wait(topic, encode_event(event), key=user, partition=partition)
                await asyncio.sleep(EVERY_S)
        finally:
            await producer.stop()

    async def read(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed" if self._connection.transactions else "read_uncommitted",
            fetch_max_wait_ms=50,
        )
        await consumer.start()
        try:
            topic = self._connection.topic("interactions")
            consumer.assign([TopicPartition(topic, partition) for partition in range(len(self._users))])
            while True:
                for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
                    now = time.monotonic()
                    numbers = [int(decode_interaction(record.value).item.partition("-")[2]) for record in records]
                    if max(numbers) >= self._after and self._wanted.get(place.partition, now) is None:
                        self._wanted[place.partition] = now
                        if None not in self._wanted.values():
                            self._all.set()
        finally:
            await consumer.stop()
