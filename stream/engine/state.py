"""Reading a lane's committed state back: one partition of a compacted topic, from its beginning to its end."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from aiokafka import AIOKafkaConsumer, TopicPartition

from models.batch import Record, Restored
from models.errors import StateMismatch
from stream.cluster import lean_records
from stream.cluster.connection import Connection

POSITION_KEY = b"\x00position"
"""Under it stands the position record of a state partition; no user can have such a key."""

FETCH_BYTES = 4 << 20
FETCH_WAIT_MS = 20
GIVE_WAY_S = 1.0
"""A turn is for taking records in: who gets none for so long lets the next one go on meanwhile."""
LOOK_EVERY_MS = 25
"""An empty partition gives no records: its end is seen when a fetch was answered without any."""
_SCHEMA = 1
_HEADER = struct.Struct(">BQ")


def encode_position(position: int, memo: bytes) -> bytes:
    r"""Value of the position record: schema, offset of the next record to read, memo.

    Examples
    --------
    >>> encode_position(7, b"memo")
    b'\x01\x00\x00\x00\x00\x00\x00\x00\x07memo'
    """
    return _HEADER.pack(_SCHEMA, position) + memo


def decode_position(value: bytes) -> tuple[int, bytes]:
    """Position and memo of a position record.

    Raises
    ------
    StateMismatch
        When another schema wrote it.

    Examples
    --------
    >>> decode_position(encode_position(7, b"memo"))
    (7, b'memo')
    """
    if len(value) < _HEADER.size or value[0] != _SCHEMA:
        raise StateMismatch("position", value[0] if value else 0, _SCHEMA)
    _, position = _HEADER.unpack_from(value)
    return position, value[_HEADER.size :]


async def restore(
    connection: Connection,
    topic: str,
    partition: int,
    *,
    silence_s: float = 60,
    in_use: bool = False,
    turns: asyncio.Semaphore | None = None,
) -> Restored:
    """Read a state partition to its end.

    To own it, call it only after its former writer was fenced: what comes after the end that is seen here is missed.

    Parameters
    ----------
    connection
        The cluster.
    topic
        Logical name of the compacted topic.
    partition
        Its number; also that of the result, see :attr:`Restored.partition`.
    silence_s
        How long the broker may stay silent before it is given up.
    in_use
        Somebody commits to it meanwhile: read what is committed now, and wait for no more. Only with transactions,
        where that is always the whole of some commit.
    turns
        Shared by restores of one process: what is more than one fetch waits for its turn. Reading costs CPU, so those
        that are read side by side all end when the last one does.

    Raises
    ------
    StateMismatch
        When another schema wrote the position record.
    KafkaError
        When the broker cannot be read.
    TimeoutError
        When nothing was heard of the partition for ``silence_s`` seconds.
    """
    records = await read_compacted(connection, topic, partition, silence_s=silence_s, in_use=in_use, turns=turns)
    value = records.pop(POSITION_KEY, None)
    position, memo = (0, b"") if value is None else decode_position(value)
    return Restored(partition=partition, position=position, memo=memo, records=records)


async def read_compacted(
    connection: Connection,
    topic: str,
    partition: int,
    *,
    silence_s: float = 60,
    in_use: bool = False,
    turns: asyncio.Semaphore | None = None,
) -> dict[bytes, bytes]:
    """Newest value of every key of one partition, without those that were deleted; see :func:`restore`."""
    found: dict[bytes, bytes] = {}
    async with aclosing(_records(connection, topic, partition, silence_s, in_use=in_use, turns=turns)) as batches:
        async for records in batches:
            for record in records:
                key, value = record.key, record.value
                if key is None:
                    continue  # nothing of ours: a compacted topic refuses records without a key
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value
    return found


async def read_key(
    connection: Connection, topic: str, partition: int, key: bytes, *, silence_s: float = 60
) -> list[bytes]:
    """Every value of one key that compaction has left so far, in the log's order."""
    found: list[bytes] = []
    async with aclosing(_records(connection, topic, partition, silence_s)) as batches:
        async for records in batches:
            found += [record.value for record in records if record.key == key and record.value is not None]
    return found


async def _records(
    connection: Connection,
    topic: str,
    partition: int,
    silence_s: float,
    *,
    in_use: bool = False,
    turns: asyncio.Semaphore | None = None,
) -> AsyncGenerator[Sequence[Record], None]:
    """Read one partition from its beginning to its end."""
    lean_records.install()
    consumer = AIOKafkaConsumer(
        **connection.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        key_deserializer=lean_records.as_they_are,
    )
    tp = TopicPartition(connection.topic(topic), partition)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(consumer.stop)
        turn = _Turn(turns)
        stack.callback(turn.give_back)
        await consumer.start()
        consumer.assign([tp])
        # Two answers about the end, and the later one holds: the embedded broker's ListOffsets is too low, and the high
        # watermark of a fetch is too low for a moment where a new leader has just been elected. In a partition in use
        # a transaction is always open behind what is listed, so that its watermark is never reached.
        listed = (await consumer.end_offsets([tp]))[tp]
        position = -1
        while True:
            async with asyncio.timeout(silence_s):
                while True:
                    batches = await consumer.getmany(tp, timeout_ms=LOOK_EVERY_MS)
                    moved = await consumer.position(tp) != position
                    watermark = listed if in_use else consumer.highwater(tp)
                    if moved or (watermark is not None and position >= max(watermark, listed)):
                        break
                    turn.give_way()
            records = batches.get(tp, ())
            # a fetch may end within the next commit, of which the first half alone is no state that ever was
            yield [record for record in records if record.offset < listed] if in_use else records
            position = await consumer.position(tp)
            if watermark is not None and position >= max(watermark, listed):
                return
            if records:
                await turn.take()


class _Turn:
    """A place among those that take records in, of which there are few."""

    def __init__(self, turns: asyncio.Semaphore | None) -> None:
        self._turns = turns
        self._taken_at: float | None = None

    async def take(self) -> None:
        """Wait for one's turn, or go on with it."""
        if self._turns is not None and self._taken_at is None:
            await self._turns.acquire()
        self._taken_at = time.monotonic()

    def give_way(self) -> None:
        """Say that nothing has come."""
        if self._taken_at is not None and time.monotonic() - self._taken_at > GIVE_WAY_S:
            self.give_back()

    def give_back(self) -> None:
        """Let the next one begin."""
        if self._turns is not None and self._taken_at is not None:
            self._turns.release()
        self._taken_at = None
