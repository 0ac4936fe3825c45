"""Reading of a topic from its beginning to its end, and of single records in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from models.batch import Record
from models.rejected import TOPIC, Rejected, decode_rejected
from stream.cluster.admin import admin, require_broker
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader
from stream.cluster.topics import existing

__all__ = ["Letter", "ends", "letters", "record_at", "records", "records_from"]

SILENCE_S = 15.0
"""How long to wait for an answer of the broker, seconds."""


class Letter(NamedTuple):
    """A dead letter.

    Attributes
    ----------
    id
        Where the record came from, ``topic/partition/offset``: the key in ``events.rejected``.
    rejected
        Contents of the dead letter.
    """

    id: str
    rejected: Rejected


async def letters(connection: Connection) -> AsyncGenerator[Letter]:
    """Yield every stored dead letter, partition by partition; a letter that was written twice is yielded twice."""
    async with aclosing(records(connection, TOPIC)) as found:
        async for record in found:
            try:
                yield Letter((record.key or b"").decode("utf-8", "replace"), decode_rejected(record.value))
            except msgspec.DecodeError:
                continue  # another program wrote it into the topic


async def records(connection: Connection, topic: str) -> AsyncGenerator[Record]:
    """Read a topic from its beginning to the end that it has now, partition by partition.

    Parameters
    ----------
    connection
        The cluster.
    topic
        Logical name.

    Raises
    ------
    BrokerUnavailable
        The broker does not answer.
    """
    for partition in range(await asyncio.to_thread(_partitions, connection, topic)):
        async with aclosing(_to_end(connection, topic, partition)) as found:
            async for record in found:
                yield record


async def records_from(connection: Connection, topic: str, partition: int, offset: int) -> AsyncGenerator[Record]:
    """Read one partition from its first record at or after ``offset`` to its end; see :func:`records`."""
    await asyncio.to_thread(require_broker, connection)  # aiokafka does not say why no broker answers
    async with aclosing(_to_end(connection, topic, partition, offset)) as found:
        async for record in found:
            yield record


async def record_at(connection: Connection, topic: str, partition: int, offset: int) -> Record | None:
    """Return the record at an offset; ``None`` if it was deleted or never existed."""
    async with aclosing(records_from(connection, topic, partition, offset)) as found:
        first = await anext(found, None)
    return first if first is not None and first.offset == offset else None


async def ends(connection: Connection, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Return an offset for each partition; every record that is written from now on has this offset or a higher one.

    The offset may be too low. This is safe, because a reader that begins there only reads more records.
    """
    await asyncio.to_thread(require_broker, connection)
    places = [TopicPartition(connection.topic(topic), partition) for partition in partitions]
    async with TopicReader(connection, places) as reader:
        return {place.partition: end for place, end in (await reader.ends()).items()}


def _partitions(connection: Connection, topic: str) -> int:
    with admin(connection) as client:
        return existing(client, connection).get(connection.topic(topic), 0)


async def _to_end(connection: Connection, topic: str, partition: int, offset: int = 0) -> AsyncGenerator[Record]:
    place = TopicPartition(connection.topic(topic), partition)
    async with TopicReader(connection, [place]) as reader:
        first = (await reader.begins())[place]
        reader.seek(place, max(first, offset))
        async with aclosing(reader.read_to_end(silence_s=SILENCE_S)) as batches:
            async for _, found in batches:
                for record in found:
                    yield record
