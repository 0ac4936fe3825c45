"""Reading of one partition of a compacted topic, from its beginning to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from aiokafka import TopicPartition

from models.batch import Record
from stream.cluster.connection import Connection
from stream.cluster.errors import map_kafka_errors
from stream.cluster.topic_reader import ReadOptions, TopicReader

__all__ = ["each_record", "read_compacted", "read_key"]

FETCH_BYTES = 4 << 20
FETCH_WAIT_MS = 20
MAX_IDLE_S = 1.0
"""Maximum time that a reading keeps its slot without new records, seconds. Then another reading may use the slot."""
POLL_MS = 25
"""How long one poll waits, milliseconds. It is short, because reading an empty partition takes one whole poll."""


async def read_compacted(
    connection: Connection,
    topic: str,
    partition: int,
    *,
    silence_s: float = 60,
    in_use: bool = False,
    slots: asyncio.Semaphore | None = None,
) -> dict[bytes, bytes]:
    """Return the newest value of each key of one partition, without deleted keys.

    Parameters
    ----------
    connection
        The cluster.
    topic
        Logical name of the compacted topic.
    partition
        Number of the partition.
    silence_s
        How long to wait for an answer of the broker before the reading fails, seconds.
    in_use
        Whether another process commits to the partition meanwhile. If so, the reading ends at the last commit that
        existed when the reading began, and does not wait for later commits. Use this only on a cluster with
        transactions, because without them the reading may end in the middle of a commit.
    slots
        Slots that the readings of one process share; a reading that needs more than one fetch waits for a slot. Reading
        costs CPU time, so readings that run at the same time all end late. If they run one after the other, most of
        them end early.

    Raises
    ------
    BrokerUnavailable
        The partition cannot be read.
    BrokerSilent
        The broker gave no answer for ``silence_s`` seconds.
    """
    found: dict[bytes, bytes] = {}
    async with aclosing(_records(connection, topic, partition, silence_s, in_use=in_use, slots=slots)) as batches:
        async for records in batches:
            for record in records:
                key, value = record.key, record.value
                if key is None:
                    continue  # not written by us, because a compacted topic refuses records without a key
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value
    return found


async def read_key(
    connection: Connection, topic: str, partition: int, key: bytes, *, silence_s: float = 60
) -> list[bytes]:
    """Return all values of one key that compaction has kept so far, in the order of the log."""
    found: list[bytes] = []
    async with aclosing(_records(connection, topic, partition, silence_s)) as batches:
        async for records in batches:
            found += [record.value for record in records if record.key == key and record.value is not None]
    return found


async def each_record(
    connection: Connection, topic: str, partition: int, *, silence_s: float = 60, in_use: bool = False
) -> AsyncGenerator[Sequence[Record], None]:
    """Yield the records that compaction has kept so far, in batches; use it if not all keys fit into memory.

    Parameters are those of :func:`read_compacted`. Of several records of a key, the last one counts.
    """
    async with aclosing(_records(connection, topic, partition, silence_s, in_use=in_use)) as batches:
        async for records in batches:
            yield records


async def _records(
    connection: Connection,
    topic: str,
    partition: int,
    silence_s: float,
    *,
    in_use: bool = False,
    slots: asyncio.Semaphore | None = None,
) -> AsyncGenerator[Sequence[Record], None]:
    """Yield the records of one partition, in batches, from its beginning to its end."""
    tp = TopicPartition(connection.topic(topic), partition)
    options = ReadOptions(wait_ms=FETCH_WAIT_MS, fetch_bytes=FETCH_BYTES)
    with map_kafka_errors(f"{tp.topic}[{partition}] at {connection.servers} cannot be read"), _Slot(slots) as slot:
        async with TopicReader(connection, [tp], options) as reader:
            # The broker gives the end of a partition in two ways, and the higher end is right. The embedded broker's
            # ListOffsets is too low. The high watermark of a fetch is too low for a moment after the election of a new
            # leader. In a partition in use, the reading ends at the listed end. It cannot reach the watermark, because
            # some transaction is always open before it.
            listed = (await reader.ends())[tp]
            position = -1
            while True:
                async with asyncio.timeout(silence_s):
                    while True:
                        batches = await reader.poll(timeout_ms=POLL_MS)
                        moved = await reader.position(tp) != position
                        watermark = listed if in_use else reader.watermark(tp)
                        if moved or (watermark is not None and position >= max(watermark, listed)):
                            break
                        slot.release_if_idle()
                records = batches.get(tp, ())
                # A fetch may end in the middle of the next commit. That part is dropped, because half a commit is a
                # state that never existed.
                yield [record for record in records if record.offset < listed] if in_use else records
                position = await reader.position(tp)
                if watermark is not None and position >= max(watermark, listed):
                    return
                if records:
                    await slot.acquire()


class _Slot:
    """One reading's use of a semaphore that several readings share."""

    def __init__(self, slots: asyncio.Semaphore | None) -> None:
        self._slots = slots
        self._used_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    async def acquire(self) -> None:
        """Wait for a slot, or keep the slot that this reading has."""
        if self._slots is not None and self._used_at is None:
            await self._slots.acquire()
        self._used_at = time.monotonic()

    def release_if_idle(self) -> None:
        """Release the slot if no records have come for ``MAX_IDLE_S``."""
        if self._used_at is not None and time.monotonic() - self._used_at > MAX_IDLE_S:
            self.release()

    def release(self) -> None:
        """Release the slot, if this reading has one."""
        if self._slots is not None and self._used_at is not None:
            self._slots.release()
        self._used_at = None
