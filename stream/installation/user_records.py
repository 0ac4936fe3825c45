"""What the topics ``decisions`` and ``signals`` have of one user."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Generic, NamedTuple, TypeVar

from models.engage.decisions import Decision, decode_decision
from models.profile.signals import Signal, decode_signal
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topic_reader import TopicReader, partitions_of

_Kind = TypeVar("_Kind", Decision, Signal)


class UserRecords(NamedTuple, Generic[_Kind]):
    """The records of one user in a topic.

    Attributes
    ----------
    records
        The records, the oldest first.
    since
        Time of the oldest decision or signal in the user's partition of the topic, milliseconds; 0 without one.
    """

    records: list[_Kind]
    since: int


async def decisions_of(connection: Connection, partitions: int, user: str) -> UserRecords[Decision]:
    """Read the decisions about messages to a user, as far back as the topic has them.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    user
        Id of the user.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    return await _read(connection, "decisions", partitions, user, decode_decision)


async def signals_of(connection: Connection, partitions: int, user: str) -> UserRecords[Signal]:
    """Read the signals of a user, as far back as the topic has them; arguments as for :func:`decisions_of`.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    return await _read(connection, "signals", partitions, user, decode_signal)


async def _read(
    connection: Connection, topic: str, partitions: int, user: str, decode: Callable[[bytes], _Kind]
) -> UserRecords[_Kind]:
    key, found, since = user.encode(), list[_Kind](), 0
    place = partitions_of(connection, topic, partitions)[partition_of(key, partitions)]
    async with TopicReader(connection, [place]) as reader:
        reader.seek(place, (await reader.begins())[place])
        async with aclosing(reader.read_to_end()) as batches:
            async for _, records in batches:
                for record in records:
                    if record.value is not None and (record.key == key or not since):
                        one = decode(record.value)
                        since = since or one.at
                        if record.key == key:
                            found.append(one)
    return UserRecords(found, since)
