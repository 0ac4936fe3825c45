"""The events of one user in the log."""

from __future__ import annotations

from contextlib import aclosing
from typing import NamedTuple

from models.events import Event, decode_event
from models.log import EVENTS, TICK_KEY, Tick, decode_control, is_control
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topic_reader import TopicReader, partitions_of


class RecordedEvents(NamedTuple):
    """The events of a user.

    Attributes
    ----------
    events
        The events in the order of the log.
    now
        The clock of the partition at its end, milliseconds.
    """

    events: list[Event]
    now: int


async def events_of(connection: Connection, partitions: int, user: str) -> RecordedEvents:
    """Read the events of a user, as far back as the log has them.

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
    key, events, wall, ticks = user.encode(), list[Event](), 0, 0
    place = partitions_of(connection, EVENTS, partitions)[partition_of(key, partitions)]
    async with TopicReader(connection, [place]) as reader:
        reader.seek(place, (await reader.begins())[place])
        async with aclosing(reader.read_to_end()) as batches:
            async for _, records in batches:
                for record in records:
                    wall = max(wall, record.timestamp)
                    if record.key == key and record.value is not None:
                        events.append(decode_event(record.value))
                    elif is_control(record.key) and record.key == TICK_KEY and record.value is not None:
                        tick = decode_control(record.value)
                        ticks = max(ticks, tick.at if isinstance(tick, Tick) else 0)
    return RecordedEvents(events, ticks or wall)
