"""The writer of the event log, on both brokers."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.batch import Output
from models.errors import OutputTooLarge
from models.events import Event, decode_event
from models.log import Tick, decode_control, encode_control, is_control, opening
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.log.event_log import Appended, EventLog, LogUnavailable, WrongClock
from tests.support.brokers import Cluster

PARTITIONS = 3
NOW = 1_777_636_800_250


def clicks(count: int, users: int = 5) -> list[Event]:
    return [Event(id=f"m{i}", user=f"u{i % users}", type="click", at=NOW + i, item="a" * 300) for i in range(count)]


async def read_all(
    connection: Connection, counts: dict[int, int], topic: str = "events"
) -> dict[int, list[tuple[int, bytes | None, bytes | None]]]:
    """Read this many records of each partition, as (offset, key, value)."""
    places = {TopicPartition(connection.topic(topic), p): n for p, n in counts.items() if n}
    reader = AIOKafkaConsumer(**connection.client_options(), auto_offset_reset="earliest", enable_auto_commit=False)
    found: dict[int, list[tuple[int, bytes | None, bytes | None]]] = {p: [] for p in counts}
    await reader.start()
    try:
        reader.assign(list(places))
        async with asyncio.timeout(20):
            while any(len(found[place.partition]) < count for place, count in places.items()):
                for place, records in (await reader.getmany(timeout_ms=200)).items():
                    found[place.partition] += [(r.offset, r.key, r.value) for r in records]
    finally:
        await reader.stop()
    return found


@pytest.mark.parametrize("count", [3, 5_000])
async def test_events_are_stored_in_order_in_their_users_partition_at_the_reported_offsets(
    cluster: Cluster, count: int
) -> None:
    cluster.create(events=PARTITIONS)
    events = clicks(count)

    async with EventLog(cluster.connection, PARTITIONS) as log:
        places = await log.append(events)

    expected = dict.fromkeys(range(PARTITIONS), 0)
    for event, place in zip(events, places, strict=True):
        assert place.partition == partition_of(event.user.encode(), PARTITIONS)
        expected[place.partition] += 1
    found = await read_all(cluster.connection, expected)
    assert {p: len(records) for p, records in found.items()} == expected
    by_place = {Appended(p, offset): value for p, records in found.items() for offset, _, value in records}
    assert [decode_event(by_place[place] or b"") for place in places] == events


async def test_simultaneous_appends_of_several_tasks_keep_the_sequence_of_each_task(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with EventLog(embedded.connection, 1) as log:

        async def one(user: str) -> list[int]:
            places = []
            for i in range(20):
                places += await log.append([Event(id=f"{user}{i}", user=user, type="click", at=NOW)])
            return [place.offset for place in places]

        offsets = await asyncio.gather(*(one(f"u{n}") for n in range(5)))

    assert all(a < b for mine in offsets for a, b in itertools.pairwise(mine))
    assert sorted(offset for mine in offsets for offset in mine) == list(range(100))


async def test_a_broadcast_reaches_every_partition(embedded: Cluster) -> None:
    embedded.create(events=PARTITIONS)

    async with EventLog(embedded.connection, PARTITIONS) as log:
        await log.broadcast(*encode_control(Tick(at=NOW)))

    found = await read_all(embedded.connection, dict.fromkeys(range(PARTITIONS), 1))
    assert [decode_control(found[p][0][2] or b"") for p in range(PARTITIONS)] == [Tick(at=NOW)] * PARTITIONS


async def test_the_clock_is_the_first_record_of_each_partition_and_is_written_once(cluster: Cluster) -> None:
    cluster.create(events=PARTITIONS)

    async with EventLog(cluster.connection, PARTITIONS) as log:
        await log.ensure_clock("feeder")
        await log.ensure_clock("feeder")
        await log.broadcast(*encode_control(Tick(at=NOW)))

    found = await read_all(cluster.connection, dict.fromkeys(range(PARTITIONS), 2))
    for records in found.values():
        assert [decode_control(value or b"") for _, _, value in records] == [opening("feeder"), Tick(at=NOW)]
        assert all(is_control(key) for _, key, _ in records)


async def test_a_log_with_another_clock_is_refused_with_the_remedy(cluster: Cluster) -> None:
    cluster.create(events=PARTITIONS)

    async with EventLog(cluster.connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        with pytest.raises(WrongClock, match=r"live events.*kafka\.prefix"):
            await log.ensure_clock("feeder")


async def test_a_log_that_begins_with_an_event_has_the_clock_of_the_wall(embedded: Cluster) -> None:
    embedded.create(events=PARTITIONS)

    async with EventLog(embedded.connection, PARTITIONS) as log:
        await log.append(clicks(1))
        with pytest.raises(WrongClock):
            await log.ensure_clock("feeder")
        await log.ensure_clock("wall")


async def test_one_of_two_programs_that_name_a_clock_at_the_same_time_is_refused(embedded: Cluster) -> None:
    embedded.create(events=PARTITIONS)

    async with EventLog(embedded.connection, PARTITIONS) as one, EventLog(embedded.connection, PARTITIONS) as other:
        answers = await asyncio.gather(one.ensure_clock("wall"), other.ensure_clock("feeder"), return_exceptions=True)

    assert any(isinstance(answer, WrongClock) for answer in answers)


async def test_a_broker_that_is_away_is_reported_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"

    async with EventLog(Connection(address), PARTITIONS, timeout_s=0.5) as log:
        with pytest.raises(LogUnavailable, match=address):
            await log.append(clicks(1))
        with pytest.raises(LogUnavailable, match=address):
            await log.ensure_clock("wall")


async def test_a_record_that_is_too_large_is_refused_before_anything_is_written(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with EventLog(embedded.connection, 1) as log:
        with pytest.raises(OutputTooLarge):
            await log.write([Output("events", b"u", b"x"), Output("events", b"u", b"x" * 2_000_000)])
        assert await log.append(clicks(1)) == [Appended(0, 0)]


async def test_an_append_without_events_asks_no_broker() -> None:
    async with EventLog(Connection("127.0.0.1:1"), PARTITIONS) as log:
        assert await log.append([]) == []


@pytest.mark.kafka
async def test_a_broker_that_dies_and_returns_fails_one_append_and_loses_no_event(kafka: Cluster) -> None:
    kafka.create(events=1)
    assert kafka.kafka is not None

    async with EventLog(kafka.connection, 1, timeout_s=2.0) as log:
        before = await log.append(clicks(30))
        kafka.kafka.kill()
        try:
            with pytest.raises(LogUnavailable):
                await log.append(clicks(30))
            assert not await log.reachable(within_s=0.5)
        finally:
            await asyncio.to_thread(kafka.kafka.start)
        async with asyncio.timeout(30):
            while not await log.reachable(within_s=1.0):
                pass
        after = await log.append(clicks(30))

    assert [place.offset for place in before] == list(range(30))
    assert [place.offset for place in after] in (
        list(range(30, 60)),
        list(range(60, 90)),
    )  # the second list, if Kafka stored the failed append before this one
