"""The log from an offset to another, and whether its beginning is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from models.errors import PerennialError
from stream.cluster.connection import Connection

BATCH = 5_000
SILENCE_S = 60.0
"""So long the broker may be silent before it is given up."""


class BeginningGone(PerennialError):
    """The log does not reach back to its first record any more: facts cannot be recomputed from it.

    Parameters
    ----------
    topic
        Physical name.
    starts
        Offset of the first record that is there, by partition, where that is not 0.
    """

    def __init__(self, topic: str, starts: Mapping[int, int]) -> None:
        self.topic = topic
        self.starts = dict(starts)
        shown = ", ".join(f"partition {partition} at {start}" for partition, start in sorted(starts.items())[:4])
        more = f" and {len(starts) - 4} more" if len(starts) > 4 else ""
        super().__init__(
            f"{topic} begins with {shown}{more}; what came before was deleted. Facts are recomputed only from a log of "
            f"which every partition begins at 0 (retention.ms=-1, as perennial topics create makes it). Nothing was "
            f"changed"
        )


async def require_beginning(connection: Connection, partitions: int) -> None:
    """Return where every partition of ``events`` begins at 0; raises :class:`BeginningGone` else."""
    topic = connection.topic("events")
    consumer = _consumer(connection)
    try:
        async with asyncio.timeout(SILENCE_S):
            await consumer.start()
            starts = await consumer.beginning_offsets([TopicPartition(topic, number) for number in range(partitions)])
    finally:
        await consumer.stop()
    gone = {place.partition: start for place, start in starts.items() if start}
    if gone:
        raise BeginningGone(topic, gone)


async def read_log(
    connection: Connection, partition: int, begin: int, end: int
) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
    """Yield the records of one partition of ``events`` with offsets from ``begin`` and below ``end``.

    Raises
    ------
    BeginningGone
        Records were deleted meanwhile.
    TimeoutError
        The broker was silent for a minute.
    """
    place = TopicPartition(connection.topic("events"), partition)
    consumer = _consumer(connection)
    try:
        await consumer.start()
        consumer.assign([place])
        consumer.seek(place, begin)
        position = begin
        while position < end:
            async with asyncio.timeout(SILENCE_S):
                records: list[ConsumerRecord[bytes, bytes]] = []
                while not records and await consumer.position(place) < end:
                    records = (await consumer.getmany(place, timeout_ms=200, max_records=BATCH)).get(place, [])
            if not records:
                return
            if records[0].offset > position:  # a marker of a transaction, or records that are gone
                start = (await consumer.beginning_offsets([place]))[place]
                if start > position:
                    raise BeginningGone(place.topic, {partition: start})
            position = records[-1].offset + 1
            wanted = [record for record in records if record.offset < end]
            if wanted:
                yield wanted
    finally:
        await consumer.stop()


def _consumer(connection: Connection) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **connection.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )
