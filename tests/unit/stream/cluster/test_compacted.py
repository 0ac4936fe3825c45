"""Reading of one partition of a compacted topic, on both brokers."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from stream.cluster import compacted
from stream.cluster.compacted import read_compacted
from tests.support.brokers import Cluster
from tests.support.inprocess import until
from tests.support.topic_reading import producing, write


@pytest.mark.kafka
async def test_a_large_partition_waits_for_a_slot_and_a_small_one_does_not(
    kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacted, "FETCH_BYTES", 10_000)
    kafka.create(profiles=2)
    await write(kafka.connection, "profiles", [(b"u%d" % n, bytes(100)) for n in range(2_000)], 0)
    await write(kafka.connection, "profiles", [(b"u", b"1")], 1)
    slots = asyncio.Semaphore(1)
    await slots.acquire()

    large = asyncio.create_task(read_compacted(kafka.connection, "profiles", 0, slots=slots))
    async with asyncio.timeout(60):
        small = await read_compacted(kafka.connection, "profiles", 1, slots=slots)
        assert not large.done()
        slots.release()
        restored = await large

    assert small == {b"u": b"1"}
    assert len(restored) == 2_000
    assert not slots.locked(), "the last reading has kept its slot"


@pytest.mark.kafka
async def test_a_reading_without_new_records_releases_its_slot(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacted, "FETCH_BYTES", 10_000)
    monkeypatch.setattr(compacted, "MAX_IDLE_S", 0.1)
    kafka.create(profiles=2)
    for partition in range(2):
        await write(kafka.connection, "profiles", [(b"u%d" % n, bytes(100)) for n in range(2_000)], partition)
    producer = AIOKafkaProducer(**kafka.connection.client_options(), transactional_id=kafka.connection.group("writer"))
    await producer.start()
    slots = asyncio.Semaphore(1)
    try:
        await producer.begin_transaction()  # while it is open, readers get no record after its beginning
        await producer.send_and_wait(kafka.connection.topic("profiles"), b"1", key=b"u", partition=0)
        async with asyncio.timeout(60):
            waiting = asyncio.create_task(read_compacted(kafka.connection, "profiles", 0, slots=slots))
            await until(slots.locked, 60)
            restored = await read_compacted(kafka.connection, "profiles", 1, slots=slots)
            assert not waiting.done()
            await producer.abort_transaction()
            late = await waiting
    finally:
        await producer.stop()

    assert len(restored) == len(late) == 2_000
    assert not slots.locked()


async def test_a_deleted_key_is_not_returned(cluster: Cluster) -> None:
    cluster.create(profiles=1)
    async with producing(cluster.connection) as producer:
        topic = cluster.connection.topic("profiles")
        await producer.send_and_wait(topic, b"1", key=b"u1")
        await producer.send_and_wait(topic, b"2", key=b"u2")
        await producer.send_and_wait(topic, None, key=b"u1")

    assert await read_compacted(cluster.connection, "profiles", 0) == {b"u2": b"2"}


@pytest.mark.kafka
async def test_values_of_an_aborted_transaction_are_not_returned(kafka: Cluster) -> None:
    kafka.create(profiles=1)
    topic = kafka.connection.topic("profiles")
    producer = AIOKafkaProducer(**kafka.connection.client_options(), transactional_id=kafka.connection.group("writer"))
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", key=b"u1")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", key=b"u1")
        await producer.abort_transaction()
    finally:
        await producer.stop()

    async with asyncio.timeout(5):
        assert await read_compacted(kafka.connection, "profiles", 0) == {b"u1": b"committed"}
