"""A sample of the log: the names and kinds that its newest events have, for the checks of conditions."""

from __future__ import annotations

from typing import NamedTuple

from models.conditions.knowledge import Sightings
from models.counting import counted
from models.events import decode_event
from models.log import EVENTS, is_control
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of

MAX_RECORDS = 4_000
"""Maximum number of records that are read from the end of all partitions together."""


class LogSample(NamedTuple):
    """The names and kinds that the newest events have shown.

    Attributes
    ----------
    sightings
        Names and kinds.
    events
        Number of the events.
    """

    sightings: Sightings
    events: int

    @property
    def source(self) -> str:
        """The sample in words, such as ``the newest 4,000 events``."""
        return f"the newest {counted(self.events, 'event')}"


async def newest_events(connection: Connection, partitions: int, most: int = MAX_RECORDS) -> LogSample:
    """Read the newest events of the log.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    most
        Maximum number of records.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    sightings, events = Sightings(), 0
    share = max(most // partitions, 1)
    async with TopicReader(connection, partitions_of(connection, EVENTS, partitions)) as reader:
        begins, ends = await reader.begins(), await reader.ends()
        for place in reader.partitions:
            reader.seek(place, max(begins[place], ends[place] - share))
        async for _, records in reader.read_to_end():
            for record in records:
                if not is_control(record.key) and record.value is not None:
                    sightings.add(decode_event(record.value))
                    events += 1
    return LogSample(sightings, events)
