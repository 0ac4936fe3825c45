"""Reading the demo's topics into a tally while they are written."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.cluster.connection import Connection
from stream.cluster.topics import topic
from stream.demo.tally import TOPICS, Tally

_WAIT_MS = 200


class Watch:
    """A ``read_committed`` reader of every topic that the figures come from; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Of the log.
    tally
        Where it is counted.
    """

    def __init__(self, connection: Connection, partitions: int, tally: Tally) -> None:
        self._tally = tally
        self._logical = {connection.topic(name): name for name in TOPICS}
        self._places = [
            TopicPartition(physical, partition)
            for physical, name in self._logical.items()
            for partition in range(topic(name).partitions(partitions))
        ]
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=4 << 20,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def read(self) -> int:
        """Count what has come, and wait a moment where nothing has; returns how many records that were."""
        batches = await self._consumer.getmany(timeout_ms=_WAIT_MS)
        for place, records in batches.items():
            name = self._logical[place.topic]
            for record in records:
                self._tally.add(name, record)
        return sum(len(records) for records in batches.values())

    async def read_to_end(self) -> None:
        """Count until every partition has been read to its end."""
        while True:
            found = await self.read()
            if not found and all([await self._is_at_end(place) for place in self._places]):
                return

    async def _is_at_end(self, place: TopicPartition) -> bool:
        # From fetches: the embedded broker's own answer for the end of a partition is too low.
        end = self._consumer.highwater(place)
        return end is not None and await self._consumer.position(place) >= end
