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


async def read_until(
    connection: Connection,
    topic: str,
    enough: Callable[[list[ConsumerRecord]], bool],
    within_s: float = 30,
    isolation: str = "read_committed",
) -> list[ConsumerRecord]:
    """Read a topic from its beginning until ``enough`` holds or the time limit has passed; return the records."""
    found: list[ConsumerRecord] = []
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
        deadline = time.monotonic() + within_s
        while not enough(found) and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
    finally:
        await consumer.stop()
    return found
