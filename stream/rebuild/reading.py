"""Reading of the log between two offsets, and the check that the log still has its beginning."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing

from models.batch import Record
from models.errors import PerennialError
from models.log import EVENTS
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of

MAX_RECORDS = 5_000
"""Maximum number of records of one poll."""
SILENCE_S = 60.0
"""How long to wait for an answer of the broker, seconds."""
OPTIONS = ReadOptions(fetch_bytes=4 << 20)


class BeginningGone(PerennialError):
    """The log has lost its first records: facts cannot be recomputed from it.

    Parameters
    ----------
    topic
        Physical name.
    starts
        Offset of the first record of each partition that does not begin at 0.
    """

    def __init__(self, topic: str, starts: Mapping[int, int]) -> None:
        self.topic = topic
        self.starts = dict(starts)
        shown = ", ".join(f"partition {partition} at {start}" for partition, start in sorted(starts.items())[:4])
        more = f" and {len(starts) - 4} more" if len(starts) > 4 else ""
        super().__init__(
            f"{topic} begins with {shown}{more}; earlier records were deleted. Facts can be recomputed only from a log "
            f"in which every partition begins at 0 (retention.ms=-1, as perennial topics create makes it). Nothing was "
            f"changed"
        )


async def require_beginning(connection: Connection, partitions: int) -> None:
    """Check that every partition of ``events`` begins at 0.

    Raises
    ------
    BeginningGone
        At least one partition does not.
    BrokerUnavailable
        The log cannot be read.
    """
    async with TopicReader(connection, partitions_of(connection, EVENTS, partitions), OPTIONS) as reader:
        starts = await reader.begins()
    gone = {place.partition: start for place, start in starts.items() if start}
    if gone:
        raise BeginningGone(connection.topic(EVENTS), gone)


async def read_log(
    connection: Connection, partition: int, begin: int, end: int | None = None
) -> AsyncIterator[Sequence[Record]]:
    """Yield the records of one partition of ``events`` with offsets from ``begin`` and below ``end``.

    Without ``end``, all records are read that the partition contains now.

    Raises
    ------
    BeginningGone
        Records were deleted meanwhile.
    BrokerUnavailable
        The log cannot be read, or the broker gave no answer for a minute.
    """
    place = partitions_of(connection, EVENTS, partition + 1)[partition]
    position = begin
    async with TopicReader(connection, [place], OPTIONS) as reader:
        reader.seek(place, begin)
        async with aclosing(reader.read_to_end(silence_s=SILENCE_S, max_records=MAX_RECORDS, end=end)) as batches:
            async for _, records in batches:
                if records[0].offset > position:  # after the marker of a transaction, or after deleted records
                    start = (await reader.begins())[place]
                    if start > position:
                        raise BeginningGone(place.topic, {partition: start})
                position = records[-1].offset + 1
                wanted = records if end is None else [record for record in records if record.offset < end]
                if wanted:
                    yield wanted


async def read_logs(
    connection: Connection, begins: Sequence[int], is_full: Callable[[int], bool]
) -> AsyncIterator[tuple[int, Sequence[Record]]]:
    """Yield the records that all partitions of ``events`` contain now, with the number of the partition.

    Parameters
    ----------
    connection
        The cluster.
    begins
        Offset of the first record to read, by partition.
    is_full
        Returns whether a partition is not read now. The reading ends when all partitions with more records are full.

    Raises
    ------
    BeginningGone
        Records were deleted meanwhile.
    BrokerUnavailable
        The log cannot be read, or the broker gave no answer for a minute.
    """
    places, positions = partitions_of(connection, EVENTS, len(begins)), list(begins)
    async with TopicReader(connection, places, OPTIONS) as reader:
        for place in places:
            reader.seek(place, begins[place.partition])
        reading = reader.read_to_end(
            silence_s=SILENCE_S, max_records=MAX_RECORDS, is_paused=lambda place: is_full(place.partition)
        )
        async with aclosing(reading) as batches:
            async for place, records in batches:
                partition = place.partition
                if records[0].offset > positions[partition]:
                    start = (await reader.begins())[place]
                    if start > positions[partition]:
                        raise BeginningGone(place.topic, {partition: start})
                positions[partition] = records[-1].offset + 1
                yield partition, records


async def read_whole_log(
    connection: Connection, partition: int, planned: Callable[[int], None]
) -> AsyncGenerator[Sequence[Record]]:
    """Yield all records that one partition of ``events`` has now, and report their number before.

    Raises
    ------
    BeginningGone
        The partition has lost its first records.
    BrokerUnavailable
        The log cannot be read, or the broker gave no answer for a minute.
    """
    place = partitions_of(connection, EVENTS, partition + 1)[partition]
    async with TopicReader(connection, [place], OPTIONS) as reader:
        start = (await reader.begins())[place]
        if start:
            raise BeginningGone(place.topic, {partition: start})
        planned((await reader.ends())[place])
        reader.seek(place, 0)
        async with aclosing(reader.read_to_end(silence_s=SILENCE_S, max_records=MAX_RECORDS)) as batches:
            async for _, records in batches:
                yield records
