"""Records that retention deletes before a lane has read them are reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from kafka import TopicPartition

from models.batch import Batch, Outputs, Restored
from stream.cluster.admin import admin
from stream.engine.agent_spec import Agent, Stateful, Wake
from stream.engine.errors import RecordsGone
from stream.transport.app import Unobserved
from tests.support.brokers import Cluster
from tests.support.inprocess import running_app, until
from tests.support.topic_reading import write


class FailureRecorder(Unobserved):
    """An observer that keeps the failures of lanes."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def failed(self, topic: str, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.kafka
async def test_records_that_retention_deletes_under_a_running_lane_are_reported(kafka: Cluster) -> None:
    kafka.create(events=1, profiles=1)
    seen: list[int] = []
    proceed = asyncio.Event()

    def slow(restored: Restored, _wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for batch in batches:
                seen.extend(record.offset for record in batch.records)
                await proceed.wait()
                yield Outputs()

        return agent

    edge = Stateful(name="slow", topic="events", agent=slow, state="profiles", max_records=1)
    recorder = FailureRecorder()
    # A fetch returns at most three of these records, so most of them are not fetched yet when they are deleted.
    await write(kafka.connection, "events", [(b"u1", bytes(300_000))] * 40)
    async with running_app(kafka.connection, [edge], observer=recorder):
        await until(lambda: bool(seen), within_s=60)
        with admin(kafka.connection) as client:
            client.delete_records({TopicPartition(kafka.connection.topic("events"), 0): 30})
        proceed.set()
        await until(lambda: seen[-1] == 39, within_s=60)

    (gone,) = [error for error in recorder.errors if isinstance(error, RecordsGone)]
    assert gone.start == 30
    assert sorted({*seen, *range(gone.position, gone.start)}) == list(range(40))


@pytest.mark.kafka
async def test_a_lane_without_a_position_begins_where_its_log_begins(kafka: Cluster) -> None:
    kafka.create(events=1, profiles=1)
    seen: list[int] = []

    def recording(restored: Restored, _wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for batch in batches:
                seen.extend(record.offset for record in batch.records)
                yield Outputs()

        return agent

    recorder = FailureRecorder()
    await write(kafka.connection, "events", [(b"u1", b"%d" % number) for number in range(40)])
    with admin(kafka.connection) as client:
        client.delete_records({TopicPartition(kafka.connection.topic("events"), 0): 30})
    edge = Stateful(name="recording", topic="events", agent=recording, state="profiles")
    async with running_app(kafka.connection, [edge], observer=recorder):
        await until(lambda: seen == list(range(30, 40)), within_s=60)

    assert recorder.errors == []
