"""Reading of the demo's topics into a tally while they are written."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from stream.cluster.connection import Connection
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.cluster.topics import topic
from stream.demo.tally import TOPICS, Tally


class Watch:
    """A ``read_committed`` reader of every topic with figures, to be used with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of the log's partitions.
    tally
        Counts to add to.
    """

    def __init__(self, connection: Connection, partitions: int, tally: Tally) -> None:
        self._tally = tally
        self._logical = {connection.topic(name): name for name in TOPICS}
        places = [
            place for name in TOPICS for place in partitions_of(connection, name, topic(name).partitions(partitions))
        ]
        self._reader = TopicReader(connection, places, ReadOptions(wait_ms=500, fetch_bytes=4 << 20))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._reader!r})"

    async def __aenter__(self) -> Self:
        await self._reader.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._reader.stop()

    async def read(self) -> int:
        """Count new records, wait a moment if there are none, and return their number."""
        batches = await self._reader.poll()
        for place, records in batches.items():
            name = self._logical[place.topic]
            for record in records:
                self._tally.add(name, record, place.partition)
        return sum(len(records) for records in batches.values())

    async def read_to_end(self) -> None:
        """Count until every partition has been read to its end."""
        while True:
            found = await self.read()
            if not found and await self._reader.lag() == 0:
                return
