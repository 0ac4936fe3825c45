"""Write a load into a topic, each user into the partition that Kafka's partitioner chooses."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from models.log import is_control
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of

_BATCH_BYTES = 512 * 1024


async def feed(
    connection: Connection,
    topic: str,
    partitions: int,
    load: Iterable[tuple[bytes, bytes]],
    times: int = 1,
) -> int:
    """Write all records in order, and control records into every partition; return the resulting number of records.

    Parameters
    ----------
    connection, topic, partitions
        Destination; ``topic`` is the physical name.
    load
        Key and value of each record.
    times
        How often to write the whole load, for systems that only read.
    """
    slots: dict[bytes, int] = {}
    waiting: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    for key, value in load:
        if is_control(key):
            for every in range(partitions):
                waiting[every].append((key, value))
            continue
        partition = slots.get(key)
        if partition is None:
            partition = slots[key] = partition_of(key, partitions)
        waiting[partition].append((key, value))
    producer = AIOKafkaProducer(**connection.client_options(), max_batch_size=_BATCH_BYTES, enable_idempotence=False)
    await producer.start()
    try:
        for _ in range(times):
            await asyncio.gather(*(_write(producer, topic, place, records) for place, records in waiting.items()))
    finally:
        await producer.stop()
    return times * sum(map(len, waiting.values()))


async def _write(producer: AIOKafkaProducer, topic: str, partition: int, records: list[tuple[bytes, bytes]]) -> None:
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:  # full
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    if batch.record_count():
        await (await producer.send_batch(batch, topic, partition=partition))
