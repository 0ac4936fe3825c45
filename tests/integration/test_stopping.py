"""A worker that is asked to stop commits, leaves its group and ends in time, even if its effects hang."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.transport.app import STOP_WITHIN_S
from tests.support.brokers import Cluster
from tests.support.inprocess import until
from tests.support.topic_reading import producing, read_until
from tests.support.workers import running_worker

PARTITIONS = 4


@asynccontextmanager
async def load(connection: Connection) -> AsyncIterator[list[bytes]]:
    """Send a few hundred events a second until the end of the block, and yield the list of those sent."""
    sent: list[bytes] = []
    over = asyncio.Event()

    async def send() -> None:
        async with producing(connection) as producer:
            while not over.is_set():
                number = len(sent)
                sent.append(b"%d" % number)
                topic, user = connection.topic("events"), b"u%d" % (number % 50)
                await producer.send_and_wait(topic, sent[-1], key=user, partition=number % 50 % PARTITIONS)

    sending = asyncio.create_task(send())
    try:
        yield sent
    finally:
        over.set()
        await sending


@pytest.mark.kafka
async def test_a_worker_under_load_with_hanging_effects_stops_in_time_leaves_its_group_and_loses_nothing(
    kafka: Cluster, tmp_path: Path
) -> None:
    connection = replace(kafka.connection, session_timeout_s=120)
    kafka.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    log = tmp_path / "log"
    async with load(connection) as sent:
        with running_worker(connection, log, "tests.support.stalling_worker", "calls", "60") as worker:
            await until(lambda: "calling" in log.read_text(), within_s=90)
            began = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            exit_code = await asyncio.to_thread(worker.wait, 60)
            took = time.monotonic() - began
    with admin(connection) as client:
        group = connection.group("count")
        left = client.describe_groups([group])[group]["members"]
    # If the first worker had not left, it would keep its partitions for two more minutes.
    with running_worker(connection, log):
        copies = await read_until(connection, "copies", lambda found: len(found) >= len(sent), within_s=90)

    assert (exit_code, left) == (0, [])
    assert took < STOP_WITHIN_S + 1
    assert Counter(record.value for record in copies) == Counter(sent)
