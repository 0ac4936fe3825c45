"""Reading of whole topics in a program without an event loop.

The retrainer does not store its window of interactions. Each start reads the log again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from models.batch import Record
from stream.cluster.connection import Connection
from stream.cluster.patient_fetches import IDLE_WAIT_MS
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of

MAX_RECORDS = 5_000
"""Maximum number of records of one poll."""
SLACK = 3
"""Factor by which more records than wanted are read.

The end of a transaction takes an offset too, and users are not distributed quite evenly.
"""
OPTIONS = ReadOptions(wait_ms=200, idle_wait_ms=IDLE_WAIT_MS)


class BlockingReader:
    """Reader of every partition of a topic, whose methods block.

    Parameters
    ----------
    reader
        An open reader.
    runner
        Event loop in which the reader was opened.
    """

    def __init__(self, reader: TopicReader, runner: asyncio.Runner) -> None:
        self._reader = reader
        self._runner = runner

    def __repr__(self) -> str:
        return f"BlockingReader({self._reader!r})"

    def poll(self) -> list[Record]:
        """Return the records that have arrived; wait a moment if there are none."""
        batches = self._runner.run(self._reader.poll(max_records=MAX_RECORDS))
        return [record for records in batches.values() for record in records]

    def lag(self) -> int | None:
        """Return the number of records that are not read yet; ``None`` until every partition has answered once."""
        return self._runner.run(self._reader.lag())

    def read_to_end(self) -> Iterator[Record]:
        """Yield every record that the topic contains now."""
        while self.lag() != 0:
            yield from self.poll()


@contextmanager
def reading(
    connection: Connection, logical: str, partitions: int, newest: int | None = None
) -> Iterator[BlockingReader]:
    """Open a reader at the beginning of a topic, and close it afterwards.

    Parameters
    ----------
    connection, logical, partitions
        The cluster, and the topic with its number of partitions.
    newest
        Number of newest records that are enough, over all partitions. So a long topic is not read from its beginning.
    """
    with asyncio.Runner() as runner:
        reader = TopicReader(connection, partitions_of(connection, logical, partitions), OPTIONS)
        runner.run(reader.start())
        try:
            if newest is not None and connection.transactions:  # the embedded broker lists too low an end
                runner.run(_skip(reader, SLACK * (newest // partitions + 1)))
            yield BlockingReader(reader, runner)
        finally:
            runner.run(reader.stop())


async def _skip(reader: TopicReader, newest: int) -> None:
    """Continue in each partition at the newest records."""
    for place, end in (await reader.ends()).items():
        if end > newest:
            reader.seek(place, end - newest)
