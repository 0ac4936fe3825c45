"""Reading a topic from its beginning to its end, and single records of it, with kafka-python."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from models.rejected import TOPIC, Rejected, decode_rejected
from stream.cluster.admin import BrokerUnreachable, require_broker
from stream.cluster.connection import Connection

if TYPE_CHECKING:
    from kafka import KafkaConsumer

SILENCE_S = 15.0
"""How long the broker may stay silent before it is given up."""


class Found(NamedTuple):
    """One record, as kafka-python shows it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Letter(NamedTuple):
    """One dead letter.

    Attributes
    ----------
    id
        Where the record came from, ``topic/partition/offset``: the key in ``events.rejected``.
    rejected
        What is known of it.
    """

    id: str
    rejected: Rejected


def letters(connection: Connection) -> Iterator[Letter]:
    """Every dead letter that is still kept, partition by partition; one that was written twice comes twice."""
    for record in records(connection, TOPIC):
        try:
            yield Letter((record.key or b"").decode("utf-8", "replace"), decode_rejected(record.value))
        except msgspec.DecodeError:
            continue  # nothing of ours: somebody else wrote into the topic


def records(connection: Connection, topic: str) -> Iterator[Found]:
    """Read a topic from the beginning to the end that it has now, partition by partition.

    Parameters
    ----------
    connection
        The cluster.
    topic
        Logical name.

    Raises
    ------
    BrokerUnreachable
        Nobody answers, or no longer.
    """
    with _consumer(connection) as consumer:
        for partition in sorted(consumer.partitions_for_topic(connection.topic(topic)) or ()):
            yield from _partition(consumer, connection, topic, partition, None)


def records_from(connection: Connection, topic: str, partition: int, offset: int) -> Generator[Found]:
    """Read one partition from ``offset``, or where it begins by now, to its end; see :func:`records`."""
    with _consumer(connection) as consumer:
        yield from _partition(consumer, connection, topic, partition, offset)


def record_at(connection: Connection, topic: str, partition: int, offset: int) -> Found | None:
    """The record at a place of a log; ``None`` where it is gone or never was."""
    with closing(records_from(connection, topic, partition, offset)) as found:
        first = next(found, None)
    return first if first is not None and first.offset == offset else None


def ends(connection: Connection, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Offset of each partition behind which all that is written from now on will stand; never too high."""
    from kafka import TopicPartition

    places = [TopicPartition(connection.topic(topic), partition) for partition in partitions]
    with _consumer(connection) as consumer:
        found = consumer.end_offsets(places, timeout_ms=int(SILENCE_S * 1_000))
        return {place.partition: int(found[place]) for place in places}


def _partition(
    consumer: KafkaConsumer, connection: Connection, topic: str, partition: int, offset: int | None
) -> Iterator[Found]:
    from kafka import TopicPartition

    place = TopicPartition(connection.topic(topic), partition)
    timeout_ms = int(SILENCE_S * 1_000)
    first = int(consumer.beginning_offsets([place], timeout_ms=timeout_ms)[place])
    end = int(consumer.end_offsets([place], timeout_ms=timeout_ms)[place])
    begin = max(first, offset or 0)
    # The embedded broker says too low an end, but never of an empty partition.
    if end == first or (begin >= end and connection.transactions):
        return
    consumer.assign([place])
    consumer.seek(place, begin)
    heard_at, position = time.monotonic(), begin
    while True:
        batch: list[Any] = consumer.poll(timeout_ms=200).get(place, [])
        for record in batch:
            yield Found(partition, record.offset, record.timestamp, record.key, record.value)
        # The high watermark of a fetch is right on the embedded broker; on Apache Kafka it may lie beyond what is
        # committed.
        seen = consumer.highwater(place) if not connection.transactions else None
        moved = int(consumer.position(place)) != position
        position = int(consumer.position(place))
        if position >= max(end, seen or 0):
            return
        if moved:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > SILENCE_S:
            raise BrokerUnreachable(f"nothing was heard of {place.topic}[{partition}] for {SILENCE_S:g} s; try again")


@contextmanager
def _consumer(connection: Connection) -> Iterator[KafkaConsumer]:
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    require_broker(connection)  # kafka-python's consumer does not say why nobody answers
    try:
        consumer = KafkaConsumer(
            **connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if connection.transactions else "read_uncommitted",
        )
        try:
            yield consumer
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerUnreachable(f"{connection.servers}: {type(error).__name__}: {error}; try again") from error
