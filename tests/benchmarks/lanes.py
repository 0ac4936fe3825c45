"""Speed of lanes on Apache Kafka: ``python -m tests.benchmarks.lanes [read|commit|RATE] ...``.

``read``: batches go to an agent that only reads every value, compared with a bare aiokafka loop that does the same
work. ``commit``: every event is counted in its user's state and copied, one transaction per batch. ``RATE``: the time
from sending to reading the committed copy, open loop. Broker, worker and load share the cores of this machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from models.batch import Batch, Outputs, Restored
from stream.cluster.connection import Connection
from stream.cluster.writer import send
from stream.engine.agent_spec import Agent, Stateful, Wake
from tests.support.brokers import create_topics, running_kafka
from tests.support.counting import COUNTING
from tests.support.inprocess import running_app, until
from tests.support.workers import running_worker

PARTITIONS = 8
EVENTS = 1_600_000
VALUE = b"x" * 290


async def fill(connection: Connection, count: int) -> None:
    producer = AIOKafkaProducer(**connection.client_options(), max_batch_size=1 << 18, acks=1)
    await producer.start()
    each = count // PARTITIONS
    for partition in range(PARTITIONS):
        place = TopicPartition(connection.topic("events"), partition)
        for first in range(0, each, 50_000):
            pairs = [(b"u%d" % (number % 20_000), VALUE) for number in range(first, min(first + 50_000, each))]
            await send(producer, {place: pairs})
    await producer.stop()


@dataclass
class Rate:
    """Duration and CPU time of a number of events; the CPU time is comparable on a busy machine too."""

    events: int
    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.events / self.seconds:,.0f} events/s, {self.cpu_seconds / self.events * 1e6:.2f} us CPU per event"
        )


async def bare(connection: Connection) -> Rate:
    """Measure aiokafka alone, in this process."""
    consumer = AIOKafkaConsumer(
        **connection.client_options(), group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(connection.topic("events"), partition) for partition in range(PARTITIONS)])
    began, cpu, seen, size = time.perf_counter(), time.process_time(), 0, 0
    while seen < EVENTS:
        for records in (await consumer.getmany(timeout_ms=1_000, max_records=5_000)).values():
            seen += len(records)
            size += sum(len(record.value) for record in records)
    rate = Rate(seen, time.perf_counter() - began, time.process_time() - cpu)
    await consumer.stop()
    return rate


async def read(connection: Connection) -> Rate:
    """Measure lanes whose agent only reads values, from the first batch to the last."""
    seen, size, first, cpu = 0, 0, 0.0, 0.0

    def factory(_: Restored, _wake: Wake) -> Agent:
        async def read_values(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            nonlocal seen, size, first, cpu
            async for batch in batches:
                first, cpu = first or time.perf_counter(), cpu or time.process_time()
                seen += len(batch.records)
                size += sum(len(record.value or b"") for record in batch.records)
                if seen < 0:
                    yield Outputs()

        return read_values

    edge = Stateful(name="look", topic="events", agent=factory, state="profiles")
    async with running_app(connection, [edge], name=f"read{time.time_ns()}"):
        await until(lambda: seen >= EVENTS, 120)
        return Rate(seen, time.perf_counter() - first, time.process_time() - cpu)


async def commit(connection: Connection) -> Rate:
    """Measure counting lanes in this process, from the first commit to the last."""
    async with running_app(connection, [COUNTING], name="commit") as app:

        def done() -> int:
            return sum(lane.position or 0 for lane in app.lanes.snapshot())

        await until(lambda: done() > 0, 60)
        began, cpu, before = time.perf_counter(), time.process_time(), done()
        await until(lambda: done() >= EVENTS, 120)
        return Rate(done() - before, time.perf_counter() - began, time.process_time() - cpu)


async def latency(connection: Connection, rate: int, folder: Path, seconds: int = 15) -> tuple[float, float, float]:
    """Measure the latency: median, 99th percentile and maximum of the last two thirds of the records, milliseconds."""
    with running_worker(connection, folder / "worker.log"):
        consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        consumer.assign([TopicPartition(connection.topic("copies"), partition) for partition in range(PARTITIONS)])
        took: list[float] = []

        async def listen() -> None:
            while True:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    now = time.time()
                    took.extend(now - float(record.value.split()[0]) for record in records)

        listening = asyncio.create_task(listen())
        producer = AIOKafkaProducer(**connection.client_options(), linger_ms=0)
        await producer.start()
        topic = connection.topic("events")
        await producer.send_and_wait(topic, b"%.6f warm" % time.time(), key=b"u0", partition=0)
        await until(lambda: bool(took), 60)
        await asyncio.sleep(3)
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            while sent < (time.monotonic() - began) * rate:
                value = b"%.6f " % time.time() + VALUE
                await producer.send(topic, value, key=b"u%d" % (sent % 20_000), partition=sent % PARTITIONS)
                sent += 1
            await asyncio.sleep(0.002)
        await asyncio.sleep(2)
        listening.cancel()
        await producer.stop()
        await consumer.stop()
    kept = sorted(took[len(took) // 3 :])
    return kept[len(kept) // 2] * 1e3, kept[int(len(kept) * 0.99)] * 1e3, kept[-1] * 1e3


async def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextmanager(running_kafka)(Path(folder), "") as kafka:
        await measure(kafka.address, Path(folder), arguments)


async def measure(address: str, folder: Path, arguments: list[str]) -> None:
    def fresh() -> Connection:
        connection = Connection(address, prefix=f"bench{time.time_ns()}.", session_timeout_s=6)
        create_topics(connection, dict.fromkeys(("events", "copies", "profiles"), PARTITIONS))
        return connection

    rates = [int(argument) for argument in arguments if argument.isdigit()]
    if not arguments or "read" in arguments:
        connection = await asyncio.to_thread(fresh)
        await fill(connection, EVENTS)
        say(f"bare aiokafka: {await bare(connection)}")
        say(f"lanes, agent that only reads: {await read(connection)}")
        say(f"bare aiokafka: {await bare(connection)}")
    if not arguments or "commit" in arguments:
        connection = await asyncio.to_thread(fresh)
        await fill(connection, EVENTS)
        say(f"lanes, counting, copying, one transaction a batch: {await commit(connection)}")
    for rate in rates or ([50, 1_000, 5_000] if not arguments else []):
        connection = await asyncio.to_thread(fresh)
        p50, p99, most = await latency(connection, rate, folder)
        say(f"{rate} events/s: sent to committed copy read p50 {p50:.1f}, p99 {p99:.1f}, max {most:.1f} ms")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
