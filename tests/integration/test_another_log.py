"""A lane whose log was deleted, created again or shortened, on a real broker."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from faust.types import TP
from kafka import KafkaAdminClient

from stream.transport.app import LaneApp
from tests.support.brokers import Cluster
from tests.support.counting import COUNTING
from tests.support.inprocess import running_app, until
from tests.support.topic_reading import read_until, write

pytestmark = pytest.mark.kafka

EVENTS = [(b"u1", b"%d" % number) for number in range(20)]


async def count_all(cluster: Cluster) -> None:
    cluster.create(events=1, copies=1, profiles=1)
    async with running_app(cluster.connection, [COUNTING]) as app:
        await write(cluster.connection, "events", EVENTS)
        await until(lambda: positions(app) == [len(EVENTS)])


def positions(app: LaneApp) -> list[int | None]:
    return [lane.position for lane in app.lanes.snapshot()]


def failures(app: LaneApp) -> int:
    return sum(lane.failures for lane in app.lanes.snapshot())


async def test_a_log_that_was_created_again_while_the_state_was_kept_is_refused(
    kafka: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    await count_all(kafka)
    with contextlib.closing(KafkaAdminClient(**kafka.connection.client_options())) as admin:
        admin.delete_topics([kafka.connection.topic("events")])
    async with asyncio.timeout(20):
        while True:
            try:
                kafka.create(events=1)
            except Exception:  # noqa: BLE001 - Kafka deletes the topic after its answer, and raises several errors until then
                await asyncio.sleep(0.2)
            else:
                break
    await write(kafka.connection, "events", EVENTS[:5])
    async with running_app(kafka.connection, [COUNTING]) as app:
        await until(lambda: failures(app) >= 2)
        (report,) = app.lanes.snapshot()

    assert not report.is_open
    assert (
        f"{kafka.connection.topic('events')}[0]: the next offset to read is 20, but the log ends at 5;" in caplog.text
    )


async def test_records_that_retention_has_deleted_are_reported_and_the_remaining_ones_are_counted(
    kafka: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    await count_all(kafka)
    await write(kafka.connection, "events", EVENTS)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.connection.servers)
    await admin.start()
    try:
        place = TopicPartition(kafka.connection.topic("events"), 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=30)})
    finally:
        await admin.close()
    async with running_app(kafka.connection, [COUNTING]) as app:
        await until(lambda: positions(app) == [40])
        restored = app.lanes.restored("events", 0)
        copies = await read_until(kafka.connection, "copies", lambda found: len(found) >= 30)

    assert restored is not None
    assert restored.records == {b"u1": b"30"}
    assert [record.value for record in copies[20:]] == [value for _, value in EVENTS[10:]]
    assert f"{place.topic}[0]: the next offset to read is 20, but the log begins at 30;" in caplog.text


async def test_a_lane_at_the_end_of_its_log_is_not_an_error(kafka: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    await count_all(kafka)
    async with running_app(kafka.connection, [COUNTING]) as app:
        await until(lambda: positions(app) == [20])
        bounds = await app.fetcher.bounds(TP(kafka.connection.topic("events"), 0))

    assert bounds == (0, 20)
    assert "the next offset to read" not in caplog.text
