"""The reader of topics, on both brokers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerSilent, BrokerUnavailable
from stream.cluster.topic_reader import ReadOptions, TopicReader, blocking, partitions_of
from stream.installation.embedded_broker import EmbeddedBroker
from tests.support.brokers import Cluster, create_topics, free_ports
from tests.support.topic_reading import write


async def read(connection: Connection, count: int, end: int | None = None) -> list[list[bytes | None]]:
    """Return the values in each partition of ``events``, read to the end."""
    found: list[list[bytes | None]] = [[] for _ in range(count)]
    async with TopicReader(connection, partitions_of(connection, "events", count)) as reader:
        async for place, records in reader.read_to_end(end=end):
            found[place.partition] += [record.value for record in records]
    return found


async def test_every_partition_is_read_to_its_end_even_an_empty_one(cluster: Cluster) -> None:
    cluster.create(events=3)
    for partition in (0, 2):
        values = [(b"u", b"%d" % number) for number in range(500)]
        await write(cluster.connection, "events", values, partition)

    async with asyncio.timeout(20):
        found = await read(cluster.connection, 3)

    assert found == [[b"%d" % number for number in range(500)], [], [b"%d" % number for number in range(500)]]


async def test_a_reading_to_an_offset_has_all_records_before_it(cluster: Cluster) -> None:
    cluster.create(events=1)
    await write(cluster.connection, "events", [(b"u", b"%d" % number) for number in range(100)], 0)

    async with asyncio.timeout(20):
        (found,) = await read(cluster.connection, 1, end=30)

    assert found[:30] == [b"%d" % number for number in range(30)]


async def test_a_second_reading_to_the_end_gives_only_new_records(cluster: Cluster) -> None:
    cluster.create(events=1)
    await write(cluster.connection, "events", [(b"u", b"1")], 0)

    found = []
    async with TopicReader(cluster.connection, partitions_of(cluster.connection, "events", 1)) as reader:
        for value in (b"2", b"3"):
            found.append([record.value async for _, records in reader.read_to_end() for record in records])
            await write(cluster.connection, "events", [(b"u", value)], 0)
        found.append([record.value async for _, records in reader.read_to_end() for record in records])

    assert found == [[b"1"], [b"2"], [b"3"]]


async def test_a_reader_that_begins_at_the_end_gets_only_later_records(cluster: Cluster) -> None:
    cluster.create(events=1)
    await write(cluster.connection, "events", [(b"u", b"early")], 0)

    (place,) = partitions_of(cluster.connection, "events", 1)
    async with (
        asyncio.timeout(20),
        TopicReader(cluster.connection, [place], ReadOptions(begin="end")) as reader,
    ):
        await reader.position(place)
        await write(cluster.connection, "events", [(b"u", b"late")], 0)
        found, records = await anext(aiter(reader))

    assert (found, [record.value for record in records]) == (place, [b"late"])


async def test_the_lag_is_unknown_until_every_partition_has_answered(cluster: Cluster) -> None:
    cluster.create(events=2)
    await write(cluster.connection, "events", [(b"u", b"1"), (b"u", b"2")], 1)

    async with (
        asyncio.timeout(20),
        TopicReader(cluster.connection, partitions_of(cluster.connection, "events", 2)) as reader,
    ):
        assert await reader.lag() is None
        while await reader.lag() != 0:
            await reader.poll()


@pytest.mark.kafka
@pytest.mark.parametrize(("committed", "wanted"), [(True, [b"1"]), (False, [b"1", b"open"])])
async def test_an_open_transaction_does_not_hold_up_a_reading_to_the_end(
    kafka: Cluster, committed: bool, wanted: list[bytes]
) -> None:
    create_topics(kafka.connection, {"events": 1})
    await write(kafka.connection, "events", [(b"u", b"1")], 0)
    (place,) = partitions_of(kafka.connection, "events", 1)
    producer = AIOKafkaProducer(**kafka.connection.client_options(), transactional_id=kafka.connection.group("writer"))
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(place.topic, b"open", key=b"u", partition=0)
        async with (
            asyncio.timeout(20),
            TopicReader(kafka.connection, [place], ReadOptions(committed=committed)) as reader,
        ):
            found = [record.value async for _, records in reader.read_to_end() for record in records]
        await producer.abort_transaction()
    finally:
        await producer.stop()

    assert found == wanted


async def test_a_broker_that_stops_answering_ends_a_reading(tmp_path: Path) -> None:
    with EmbeddedBroker(None, tmp_path) as broker:
        connection = broker.connection("silent.")
        create_topics(connection, {"events": 1})
        await write(connection, "events", [(b"u", b"1")], 0)
        (place,) = partitions_of(connection, "events", 1)
        async with TopicReader(connection, [place]) as reader:
            async for _ in reader.read_to_end():
                pass
            os.kill(broker.pid, signal.SIGSTOP)
            try:
                with pytest.raises(BrokerSilent, match=r"silent\.events .* no answer for 0\.3 s"):
                    async for _ in reader.read_to_end(end=99, silence_s=0.3):
                        pass
            finally:
                os.kill(broker.pid, signal.SIGCONT)


async def test_an_unreachable_broker_raises_broker_unavailable() -> None:
    connection = Connection(f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(BrokerUnavailable, match="cannot be read"):
        async with TopicReader(connection, partitions_of(connection, "events", 1)):
            pass


async def test_code_without_an_event_loop_can_iterate(cluster: Cluster) -> None:
    cluster.create(events=1)
    await write(cluster.connection, "events", [(b"u", b"1"), (b"u", b"2")], 0)

    async def values() -> AsyncGenerator[bytes | None]:
        async with TopicReader(cluster.connection, partitions_of(cluster.connection, "events", 1)) as reader:
            async for _, records in reader.read_to_end():
                for record in records:
                    yield record.value

    assert await asyncio.to_thread(lambda: list(blocking(values()))) == [b"1", b"2"]
