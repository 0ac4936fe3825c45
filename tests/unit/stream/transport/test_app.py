"""A worker process from end to end, on both brokers."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from stream.cluster.connection import Connection
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import restore
from stream.installation.embedded_broker import EmbeddedBroker
from stream.processes.exits import NOT_OWNER
from tests.support.brokers import Cluster, free_ports
from tests.support.processes import await_true
from tests.support.topic_reading import read_all, read_until, write
from tests.support.workers import COUNTING, running_worker

PARTITIONS = 4


def _events(count: int, first: int = 0) -> list[tuple[bytes, bytes]]:
    return [(b"u%d" % (number % 97), b"%d" % number) for number in range(first, first + count)]


async def _counts(cluster: Cluster) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    for partition in range(PARTITIONS):
        restored = await restore(cluster.connection, "profiles", partition)
        counts.update({user: int(count) for user, count in restored.records.items()})
    return counts


async def _await_counts(cluster: Cluster, events: list[tuple[bytes, bytes]], within_s: float = 30) -> None:
    """Return when the state counts each of the events once.

    On the embedded broker, outputs can be read before the state of the same batch is written. So a worker must not be
    killed as soon as its outputs are there.
    """
    expected = Counter(user for user, _ in events)
    async with asyncio.timeout(within_s):
        while await _counts(cluster) != expected:
            pass


async def test_every_event_is_counted_and_copied_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    events = _events(5_000)
    with running_worker(cluster.connection, tmp_path / "worker.log"):
        await write(cluster.connection, "events", events)
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= len(events))

    assert Counter(record.value for record in copies) == Counter(value for _, value in events)


async def test_a_worker_that_is_asked_to_stop_ends_without_error_and_the_next_one_continues_after_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    first, second = _events(1_000), _events(1_000, first=1_000)
    with running_worker(cluster.connection, tmp_path / "worker.log") as worker:
        await write(cluster.connection, "events", first)
        await read_until(cluster.connection, "copies", lambda found: len(found) >= 1_000)
        worker.send_signal(signal.SIGTERM)
        exit_code = worker.wait(30)
    with running_worker(cluster.connection, tmp_path / "worker.log"):
        await write(cluster.connection, "events", second)
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= 2_000)
        await _await_counts(cluster, first + second)

    assert exit_code == 0
    assert Counter(record.value for record in copies) == Counter(value for _, value in first + second)


async def test_a_worker_that_is_asked_to_stop_in_the_middle_of_a_batch_leaves_that_batch_to_the_next_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    events, log = _events(1_000), tmp_path / "worker.log"
    with running_worker(cluster.connection, log, COUNTING, "1000") as worker:
        await write(cluster.connection, "events", events)
        await_true(lambda: log.read_text().count("thinking") == PARTITIONS, 30)
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        exit_code, took = worker.wait(12), time.monotonic() - began
    with running_worker(cluster.connection, log):
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= 1_000)
        await _await_counts(cluster, events)

    assert (exit_code, took < 10) == (0, True)
    assert Counter(record.value for record in copies) == Counter(value for _, value in events)


async def test_a_worker_that_is_killed_leaves_its_partitions_to_the_next_one_and_nothing_is_lost(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    events, log = _events(1_000), tmp_path / "worker.log"
    with running_worker(cluster.connection, log, COUNTING, "1000") as worker:
        await write(cluster.connection, "events", events)
        await_true(lambda: "thinking" in log.read_text(), 30)
        worker.kill()
    with running_worker(cluster.connection, log):
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= 1_000)

    assert Counter(record.value for record in copies) == Counter(value for _, value in events)


@pytest.mark.kafka
async def test_a_worker_whose_partition_was_taken_over_ends_with_the_exit_code_not_owner(
    kafka: Cluster, tmp_path: Path
) -> None:
    kafka.create(events=1, copies=1, profiles=1)
    log = tmp_path / "worker.log"
    own = Ownership(f"{kafka.connection.group('count')}-events-0", 0, "profiles")
    with running_worker(kafka.connection, log) as worker:
        await_true(lambda: "open at 0" in log.read_text(), 30)
        intruder = TransactionalCommitter(kafka.connection, own)
        try:
            await intruder.fence()
            await write(kafka.connection, "events", _events(10))
            exit_code = await asyncio.to_thread(worker.wait, 30)
        finally:
            await intruder.stop()

    assert exit_code == NOT_OWNER
    assert "another process owns events-0" in log.read_text()
    assert await read_all(kafka.connection, "copies") == []


def test_a_worker_without_a_broker_logs_that_it_waits_and_ends_on_request(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    log = tmp_path / "worker.log"
    with running_worker(Connection(f"127.0.0.1:{port}"), log) as worker:
        await_true(lambda: log.read_text().count("no broker answers") >= 2, 60)
        worker.terminate()
        exit_code = worker.wait(60)

    assert exit_code == 0
    assert "Unable to bootstrap" in log.read_text()


def test_a_worker_is_stopped_in_time_although_its_broker_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with EmbeddedBroker(None, tmp_path) as broker:
        connection = Connection(broker.address, prefix="t.", transactions=False, session_timeout_s=6)
        Cluster(connection).create(events=1, copies=1, profiles=1)
        with running_worker(connection, log) as worker:
            await_true(lambda: "open at 0" in log.read_text(), 30)
            broker.kill()
            began = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            worker.wait(15)
            took = time.monotonic() - began

    assert took < 10
