"""Writing to and reading from a broker in tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from stream.cluster.connection import Connection


@asynccontextmanager
async def producing(connection: Connection) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **connection.client_options(), enable_idempotence=connection.idempotence, acks="all", linger_ms=5
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(
    connection: Connection, topic: str, records: Iterable[tuple[bytes, bytes]], partition: int | None = None
) -> None:
    async with producing(connection) as producer:
        pending = [
            await producer.send(connection.topic(topic), value, key=key, partition=partition) for key, value in records
        ]
        await asyncio.gather(*pending)


@asynccontextmanager
async def _consuming(connection: Connection, topic: str, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        connection.topic(topic),
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level=isolation,
        fetch_max_wait_ms=50,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_until(
    connection: Connection,
    topic: str,
    enough: Callable[[list[ConsumerRecord]], bool],
    within_s: float = 30,
    isolation: str = "read_committed",
) -> list[ConsumerRecord]:
    """Read a topic from its beginning until ``enough`` holds for its records, and return them.

    Raises
    ------
    AssertionError
        The time limit has passed, and ``enough`` does not hold. Without this error, a condition that can never hold
        would only make a test slow.
    """
    found: list[ConsumerRecord] = []
    async with _consuming(connection, topic, isolation) as consumer:
        deadline = time.monotonic() + within_s
        while not enough(found):
            if time.monotonic() > deadline:
                raise AssertionError(f"after {within_s} s, {topic} has {len(found)} records, and these are not enough")
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
    return found


async def read_all(connection: Connection, topic: str, isolation: str = "read_committed") -> list[ConsumerRecord]:
    """Return all records that a topic contains now; no transaction may be open in it.

    Raises
    ------
    TimeoutError
        The end of the topic cannot be read within 30 s, because a transaction is open.
    """
    found: list[ConsumerRecord] = []
    async with _consuming(connection, topic, isolation) as consumer, asyncio.timeout(30):
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
    return found
