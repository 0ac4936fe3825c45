"""Cost of a rebalance on Apache Kafka: ``python -m tests.benchmarks.rebalance [--rounds N]`` (needs ``KAFKA_HOME``).

Real ``perennial worker`` processes fold an open-loop load of clicks; a reader sees when the results of each click are
committed. Two figures are printed. The first is the silence of a partition that keeps its worker while another worker
joins or leaves. It is compared with the silence while nothing happens, because a busy machine causes silence too.

The second is the time from ``kill -9`` of a fold to the first committed result of a later click by one of its users.
This time is measured with one fold and with three.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from models.events import Event, encode_event
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.installation.commands import perennial
from tests.support.brokers import free_ports, running_kafka

PARTITIONS = 8
USERS = 400
RATE = 400
SETTLED_S = 6.0
WITHIN_S = 90.0

ProcessReport = Mapping[str, Mapping[str, Any]]


@dataclass
class Arrivals:
    """Arrival time of each committed record, and the time at which its click was sent, by partition."""

    arrivals: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def silence(self, partition: int, since: float, until: float = math.inf) -> float:
        """Return the longest time without a record in this period."""
        times = [since, *(arrival for arrival, _ in self.arrivals[partition] if since <= arrival < until)]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def first(self, partition: int, since: float) -> float | None:
        """Return the seconds until the first record of a click that was sent after this time."""
        found = (arrival for arrival, sent in reversed(self.arrivals[partition]) if sent >= since)
        return min((arrival - since for arrival in found), default=None)


class Supervised:
    """One ``perennial worker`` that folds."""

    def __init__(self, connection: Connection, folder: Path, processes: int) -> None:
        self.port, lookups = free_ports(2)
        environment = {
            "PERENNIAL_KAFKA__SERVERS": connection.servers,
            "PERENNIAL_KAFKA__PREFIX": connection.prefix,
            "PERENNIAL_KAFKA__PARTITIONS": str(PARTITIONS),
            "PERENNIAL_METRICS__FOLD": "0",
            "PERENNIAL_METRICS__WORKER": str(self.port),
            "PERENNIAL_WORKER__PORT": str(lookups),
        }
        with (folder / f"worker-{self.port}.log").open("wb") as log:
            self._process = subprocess.Popen(
                perennial("worker", "--processes", str(processes), "--deliver", "0", "--learn", "0"),
                env={**os.environ, **environment},
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    def reported(self) -> ProcessReport:
        """Return the supervisor's last report on its processes."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
        except OSError:
            return {}
        return {process["name"]: process for process in json.loads(body)["processes"]}

    def stop(self) -> None:
        """End the worker, and wait for its end."""
        self._process.terminate()
        self._process.wait(30)


def owned(process: Mapping[str, Any]) -> frozenset[int]:
    """Return the partitions of the log that a fold has open."""
    lanes = process.get("lanes", ())
    return frozenset(lane["partition"] for lane in lanes if lane["topic"] == "events" and lane["open"])


async def until_shared(workers: list[Supervised], folds: int) -> dict[int, frozenset[int]]:
    """Wait until this number of folds share all partitions; return the partitions of each, by process id."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            reported = [await asyncio.to_thread(worker.reported) for worker in workers]
            shares = {process["pid"]: owned(process) for one in reported for process in one.values()}
            every = [partition for share in shares.values() for partition in share]
            if len(shares) == folds and all(shares.values()) and sorted(every) == list(range(PARTITIONS)):
                return shares
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def load(connection: Connection) -> AsyncIterator[Arrivals]:
    """Send clicks at a fixed rate, and yield the arrivals of their results."""
    seen, topic = Arrivals(), connection.topic("interactions")
    consumer = AIOKafkaConsumer(
        **connection.client_options(), isolation_level="read_committed", enable_auto_commit=False, fetch_max_wait_ms=20
    )
    producer = AIOKafkaProducer(**connection.client_options(), enable_idempotence=True, acks="all", linger_ms=2)
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])

    async def send() -> None:
        began, number = time.monotonic(), 0
        while True:
            while number < (time.monotonic() - began) * RATE:
                user = f"u{number % USERS}"
                event = Event(id=f"m{began}-{number}", user=user, type="click", at=_now(), item=f"sku{number % 50}")
                partition = partition_of(user.encode(), PARTITIONS)
                await producer.send(
                    connection.topic("events"), encode_event(event), key=user.encode(), partition=partition
                )
                number += 1
            await asyncio.sleep(0.005)

    async def read() -> None:
        async for record in consumer:
            sent = orjson.loads(record.value)["at"] / 1_000
            seen.arrivals[record.partition].append((time.time(), sent))

    tasks = [asyncio.create_task(send()), asyncio.create_task(read())]
    try:
        yield seen
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await consumer.stop()
        await producer.stop()


def _now() -> int:
    return time.time_ns() // 1_000_000


async def joins_and_leaves(connection: Connection, folder: Path, rounds: int, report: Callable[[str], None]) -> None:
    """Measure the silence of the partitions that keep their worker."""
    pauses: dict[str, list[float]] = {"nothing happens": [], "a third fold joins": [], "a third fold leaves": []}
    first = Supervised(connection, folder, 2)
    try:
        await until_shared([first], 2)
        async with load(connection) as seen:
            await asyncio.sleep(SETTLED_S)
            for _ in range(rounds):
                before, began = await until_shared([first], 2), time.time()
                calm = [seen.silence(partition, began - SETTLED_S, began) for partition in range(PARTITIONS)]
                pauses["nothing happens"] += calm
                second = Supervised(connection, folder, 1)
                try:
                    joined = await until_shared([first, second], 3)
                    await asyncio.sleep(SETTLED_S)
                    pauses["a third fold joins"] += _silences(seen, before, joined, began)
                    began = time.time()
                finally:
                    await asyncio.to_thread(second.stop)
                after = await until_shared([first], 2)
                await asyncio.sleep(SETTLED_S)
                pauses["a third fold leaves"] += _silences(seen, joined, after, began)
    finally:
        first.stop()
    for what, found in pauses.items():
        report(f"{what}: partitions that keep their worker are silent for {_summary(found)}")


def _silences(
    seen: Arrivals, before: Mapping[int, frozenset[int]], after: Mapping[int, frozenset[int]], began: float
) -> list[float]:
    stayed = [partition for pid, share in before.items() for partition in share & after.get(pid, frozenset())]
    return [seen.silence(partition, began) for partition in stayed]


async def kills(connection: Connection, folder: Path, folds: int, rounds: int, report: Callable[[str], None]) -> None:
    """Measure the waiting time of the users of a killed fold."""
    worker, waits = Supervised(connection, folder, folds), list[float]()
    try:
        await until_shared([worker], folds)
        async with load(connection) as seen:
            for _ in range(rounds):
                shares = await until_shared([worker], folds)
                # The supervisor waits longer and longer after early ends. A run of ten seconds does not end early, so
                # the supervisor soon starts the fold again.
                await asyncio.sleep(2 * SETTLED_S)
                victim, share = min(shares.items())
                killed = time.time()
                os.kill(victim, signal.SIGKILL)
                waits += [await _first(seen, partition, killed) for partition in share]
    finally:
        worker.stop()
    who = "alone" if folds == 1 else f"one of {folds}"
    report(f"kill -9 of a fold, {who}: until the next event of the same user is folded, {_summary(waits)}")


async def _first(seen: Arrivals, partition: int, since: float) -> float:
    async with asyncio.timeout(WITHIN_S):
        while (found := seen.first(partition, since)) is None:  # noqa: ASYNC110 - arrivals are polled
            await asyncio.sleep(0.02)
    return found


def _summary(values: list[float]) -> str:
    return f"median {statistics.median(values):.2f} s, at most {max(values):.2f} s ({len(values)} partitions)"


@contextlib.contextmanager
def installation(folder: Path) -> Iterator[Connection]:
    """Start a Kafka with our topics."""
    with contextlib.contextmanager(running_kafka)(folder, "") as kafka:
        connection = Connection(kafka.address, prefix="bench.")
        topics.create(connection, PARTITIONS)
        yield connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, installation(Path(name)) as connection:

        async def measure() -> None:
            await kills(connection, Path(name), 1, rounds, print)
            await kills(connection, Path(name), 3, rounds, print)
            await joins_and_leaves(connection, Path(name), rounds, print)

        print(f"{PARTITIONS} partitions, {RATE} events/s, session timeout {connection.session_timeout_s:g} s")
        asyncio.run(measure())


if __name__ == "__main__":
    main()
