"""Reading whole topics from their beginning with kafka-python: the window is not stored, the log is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from stream.cluster.connection import Connection

POLL_MS = 200
MOST_RECORDS = 5_000
SLACK = 3


class TopicReader:
    """Reads every partition of a topic, without a group: each start begins anew.

    Parameters
    ----------
    consumer
        Assigned to the partitions.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def poll(self) -> list[Any]:
        """Return what has arrived, each with ``key``, ``value`` and ``offset``; waits a moment where nothing has."""
        batches = self._consumer.poll(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
        return [record for records in batches.values() for record in records]

    @property
    def behind(self) -> int | None:
        """Records that are still to be read; ``None`` until every partition has answered once.

        From the high watermarks that come with fetches: the embedded broker's ListOffsets answers too low.
        """
        behind = 0
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is None:
                return None
            behind += max(0, end - self._consumer.position(partition))
        return behind

    def read_to_end(self) -> Iterator[Any]:
        """Yield every record there is now."""
        while self.behind != 0:
            yield from self.poll()


@contextmanager
def reading(connection: Connection, logical: str, partitions: int, newest: int | None = None) -> Iterator[TopicReader]:
    """Open a reader at the beginning of a topic, and close it afterwards.

    Parameters
    ----------
    connection, logical, partitions
        What is read.
    newest
        So many of the newest records are enough, shared by the partitions: a long topic is not read from its beginning.
    """
    consumer = KafkaConsumer(
        **connection.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if connection.transactions else "read_uncommitted",
        allow_auto_create_topics=False,
        fetch_max_wait_ms=POLL_MS,
    )
    try:
        assigned = [TopicPartition(connection.topic(logical), number) for number in range(partitions)]
        consumer.assign(assigned)
        consumer.seek_to_beginning(*assigned)
        if newest is not None and connection.transactions:  # the embedded broker tells too low an end
            for place, end in consumer.end_offsets(assigned).items():
                # the end of a transaction takes an offset, too, and users are not shared quite evenly
                begin = end - SLACK * (newest // partitions + 1)
                if begin > 0:
                    consumer.seek(place, begin)
        yield TopicReader(consumer)
    finally:
        consumer.close()
