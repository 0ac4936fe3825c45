"""Reading of a state partition, on both brokers."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from models.errors import StateMismatch
from stream.engine.state import POSITION_KEY, decode_position, encode_position, restore
from tests.support.brokers import Cluster
from tests.support.topic_reading import write


def test_a_position_of_another_schema_is_a_mismatch() -> None:
    with pytest.raises(StateMismatch, match="schema version 2"):
        decode_position(b"\x02" + encode_position(1, b"")[1:])


@pytest.mark.parametrize("value", [b"", b"\x01\x00"])
def test_a_position_that_is_cut_off_is_a_mismatch(value: bytes) -> None:
    with pytest.raises(StateMismatch):
        decode_position(value)


async def test_an_empty_partition_is_restored_without_waiting(cluster: Cluster) -> None:
    cluster.create(profiles=2)
    async with asyncio.timeout(5):
        restored = await restore(cluster.connection, "profiles", 1)

    assert (restored.partition, restored.position, restored.memo, restored.records) == (1, 0, b"", {})


async def test_the_newest_record_of_each_key_is_restored_including_the_last_record(cluster: Cluster) -> None:
    cluster.create(profiles=2)
    await write(cluster.connection, "profiles", [(b"u%d" % (n % 1_000), b"%d" % n) for n in range(20_000)], 1)
    await write(cluster.connection, "profiles", [(POSITION_KEY, encode_position(42, b"memo"))], 1)

    restored = await restore(cluster.connection, "profiles", 1)

    assert restored.records == {b"u%d" % n: b"%d" % (19_000 + n) for n in range(1_000)}
    assert (restored.position, restored.memo) == (42, b"memo")


@pytest.mark.kafka
async def test_a_partition_is_restored_to_its_last_commit_while_a_transaction_is_open(kafka: Cluster) -> None:
    kafka.create(profiles=1)
    topic = kafka.connection.topic("profiles")
    producer = AIOKafkaProducer(**kafka.connection.client_options(), transactional_id=kafka.connection.group("writer"))
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", key=b"u1")
            await producer.send_and_wait(topic, encode_position(7, b"memo"), key=POSITION_KEY)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"on its way", key=b"u1")
        async with asyncio.timeout(20):
            found = await restore(kafka.connection, "profiles", 0, in_use=True)
        await producer.commit_transaction()
        later = await restore(kafka.connection, "profiles", 0, in_use=True)
    finally:
        await producer.stop()

    assert (found.position, found.memo, found.records) == (7, b"memo", {b"u1": b"committed"})
    assert later.records == {b"u1": b"on its way"}
