"""Puts a load into a topic, each user in the partition that Kafka's own partitioner gives them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from models.partitioner import partition_of
from stream.connection import Connection

_BATCH_BYTES = 512 * 1024


async def feed(
    connection: Connection,
    topic: str,
    partitions: int,
    load: Iterable[tuple[bytes, bytes]],
    first: tuple[bytes, bytes] | None = None,
) -> int:
    """Write everything, in order, and return how many records of the load there were.

    Parameters
    ----------
    connection, topic, partitions
        Where; ``topic`` is physical.
    load
        Key and value of each record.
    first
        A record that every partition begins with, such as the log's clock.
    """
    slots: dict[bytes, int] = {}
    waiting: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    total = 0
    if first is not None:
        for every in range(partitions):
            waiting[every].append(first)
    for key, value in load:
        partition = slots.get(key)
        if partition is None:
            partition = slots[key] = partition_of(key, partitions)
        waiting[partition].append((key, value))
        total += 1
    producer = AIOKafkaProducer(**connection.client_options(), max_batch_size=_BATCH_BYTES, enable_idempotence=False)
    await producer.start()
    try:
        await asyncio.gather(*(_write(producer, topic, partition, records) for partition, records in waiting.items()))
    finally:
        await producer.stop()
    return total


async def _write(producer: AIOKafkaProducer, topic: str, partition: int, records: list[tuple[bytes, bytes]]) -> None:
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:  # full
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    if batch.record_count():
        await (await producer.send_batch(batch, topic, partition=partition))
