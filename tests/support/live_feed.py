"""Events that are sent at a fixed rate, and the time until each of them is folded."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from models.events import Event, encode_event
from models.recommend.interactions import decode_interaction
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topics import create, topic
from tests.support.brokers import create_topics

SEND_EVERY_S = 0.02
"""How long the sender waits between two sends, seconds. All events that are due are then sent together."""
WRITER = 0
"""Type of the timestamps that the writer of a record has set, not the broker."""
_BATCH_BYTES = 512 * 1024

Timed = tuple[int, bytes, bytes]
"""Timestamp, key and value of a record."""


@contextlib.asynccontextmanager
async def _producing(connection: Connection) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **connection.client_options(), max_batch_size=_BATCH_BYTES, enable_idempotence=False, linger_ms=0
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _append(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Timed]
) -> list[RecordMetadata]:
    """Write records with their timestamps into a partition, and return what the broker says about each batch."""
    batch, written = producer.create_batch(), list[RecordMetadata]()
    for at, key, value in records:
        if batch.append(key=key, value=value, timestamp=at) is None:  # full
            written.append(await (await producer.send_batch(batch, topic, partition=partition)))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=at)
    if batch.record_count():
        written.append(await (await producer.send_batch(batch, topic, partition=partition)))
    return written


def create_for_past(connection: Connection, partitions: int) -> None:
    """Create all topics, and let ``events`` keep the timestamps of its writers, for :func:`write_past`.

    A broker applies a changed setting some time after it has confirmed the change. So the topic gets this one at once.
    """
    past = {"events": topic("events").configs() | {"message.timestamp.type": "CreateTime"}}
    create_topics(connection, {"events": partitions}, past)
    create(connection, partitions)


async def write_past(connection: Connection, first: Sequence[Timed], records: Sequence[Sequence[Timed]]) -> None:
    """Write a log that has the timestamps of the past. From then on, the topic has the timestamps of the broker.

    Parameters
    ----------
    connection
        The cluster, whose topics :func:`create_for_past` has created.
    first
        Records with which every partition begins.
    records
        The records of each partition.
    """
    name = connection.topic("events")
    async with _producing(connection) as producer:
        for partition, own in enumerate(records):
            for batch in await _append(producer, name, partition, [*first, *own]):
                if batch.timestamp_type != WRITER:
                    raise RuntimeError(f"{name}-{partition}: the broker has replaced the timestamps")
    await asyncio.to_thread(_set_timestamps, connection, name, "LogAppendTime")


def _set_timestamps(connection: Connection, name: str, kind: str) -> None:
    with contextlib.closing(KafkaAdminClient(**connection.client_options())) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"message.timestamp.type": kind})])


class LiveFeed:
    """Events that are due at fixed times, whatever the system does meanwhile.

    Parameters
    ----------
    connection, partitions
        The log.
    rate
        Number of events per second.
    event
        Returns an event that is due at a time, milliseconds.

    Attributes
    ----------
    began
        Time at which the first event is due, milliseconds; 0 before.
    sent
        Number of events.
    late
        For each event that makes an interaction: when it was due, and how long after that the interaction could be
        read, milliseconds.
    """

    def __init__(self, connection: Connection, partitions: int, rate: int, event: Callable[[int], Event]) -> None:
        self._connection = connection
        self._partitions = partitions
        self._rate = rate
        self._event = event
        self._is_done = asyncio.Event()
        self._is_reading = asyncio.Event()
        self.began = self.sent = 0
        self.late: list[tuple[int, int]] = []

    def __repr__(self) -> str:
        return f"LiveFeed({self.sent:,} events, {len(self.late):,} read)"

    def stop(self) -> None:
        """Send no more events."""
        self._is_done.set()

    async def send(self) -> None:
        """Send events until the feed is stopped."""
        await self._is_reading.wait()
        async with _producing(self._connection) as producer:
            name = self._connection.topic("events")
            self.began = _now_ms()
            while not self._is_done.is_set():
                due: defaultdict[int, list[Timed]] = defaultdict(list)
                now = _now_ms()
                for number in range(self.sent, int((now - self.began) * self._rate / 1_000) + 1):
                    event = self._event(self.began + int(number * 1_000 / self._rate))
                    key = event.user.encode()
                    due[partition_of(key, self._partitions)].append((now, key, encode_event(event)))
                    self.sent = number + 1
                for partition, records in due.items():
                    await _append(producer, name, partition, records)
                await asyncio.sleep(SEND_EVERY_S)

    async def watch(self) -> None:
        """Read the interactions of the events until cancelled."""
        consumer = AIOKafkaConsumer(
            **self._connection.client_options(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
        )
        await consumer.start()
        try:
            places = [
                TopicPartition(self._connection.topic("interactions"), number) for number in range(self._partitions)
            ]
            consumer.assign(places)
            await consumer.seek_to_end(*places)
            for place in places:
                await consumer.position(place)
            self._is_reading.set()
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    now = _now_ms()
                    found = (decode_interaction(record.value).at for record in records if record.value is not None)
                    self.late += [(at, now - at) for at in found if self.began <= at]
        finally:
            await consumer.stop()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
