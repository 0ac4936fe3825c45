"""Writing many records at once: aiokafka's ``send`` costs ten times what filling its batches directly does."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from models.batch import Output
from models.errors import OutputTooLarge
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of

log = logging.getLogger(__name__)

BATCH_BYTES = 1_000_000
"""Of one produce batch; Kafka's default limit (``message.max.bytes``) is 1,048,588."""
RECORD_BYTES = BATCH_BYTES - 1_000
"""Of one record's key and value together; the rest is for headers of the record and of its batch."""

ANSWER_WITHIN_S = 60.0
"""aiokafka repeats what a broker does not answer, for ever; then whoever wrote begins anew, with a new connection."""
LEFT_WITHIN_S = 1.0
"""How long a write that has failed waits for the answers to what it had sent before."""

Pairs = list[tuple[bytes, bytes | None]]


class Place(NamedTuple):
    """A partition to write to.

    Attributes
    ----------
    topic
        Physical name.
    partition
        Its number.
    """

    topic: str
    partition: int


_partition_of = functools.lru_cache(maxsize=1 << 17)(partition_of)  # murmur2 costs microseconds, and users come back


def check_size(topic: str, key: bytes, value: bytes | None) -> None:
    """Raise :class:`OutputTooLarge` for what would not fit into a record."""
    size = len(key) + (len(value) if value is not None else 0)
    if size > RECORD_BYTES:
        raise OutputTooLarge(topic, size, RECORD_BYTES)


async def place(
    producer: AIOKafkaProducer, connection: Connection, outputs: Iterable[Output], aligned: frozenset[str], own: int
) -> dict[Place, Pairs]:
    """Sort outputs into the partitions that they belong to, each in its order.

    Parameters
    ----------
    producer
        Knows how many partitions a topic has.
    connection
        For the physical names.
    outputs
        What shall be written.
    aligned
        Logical topics that are partitioned like the writer's own: they take ``own``; elsewhere the key decides.
    own
        The writer's partition.

    Raises
    ------
    OutputTooLarge
        Before anything is sent.
    """
    by_topic: dict[str, list[Pairs]] = {}
    for topic, key, value in outputs:  # a microsecond here is a tenth of what an event costs in all
        if len(key) + (0 if value is None else len(value)) > RECORD_BYTES:
            check_size(topic, key, value)
        lists = by_topic.get(topic)
        if lists is None:
            count = 1 if topic in aligned else len(await producer.partitions_for(connection.topic(topic)))
            lists = by_topic[topic] = [[] for _ in range(count)]
        lists[_partition_of(key, len(lists)) if len(lists) > 1 else 0].append((key, value))
    return {
        Place(connection.topic(topic), own if topic in aligned else partition): pairs
        for topic, lists in by_topic.items()
        for partition, pairs in enumerate(lists)
        if pairs
    }


async def send(producer: AIOKafkaProducer, places: Mapping[Place, Sequence[tuple[bytes, bytes | None]]]) -> None:
    """Write, and return when the broker has taken every record; raises the first refusal after all were answered.

    aiokafka commits a transaction although the broker refused one of its batches, so nobody may commit before this
    has returned. Where not all could be handed to the producer, what was is given a second more and then left alone.
    """
    answers: list[asyncio.Future[Any]] = []
    try:
        for target, pairs in places.items():
            for batch in _packed(producer, pairs):
                answer = await producer.send_batch(batch, target.topic, partition=target.partition)
                answers.append(answer)  # one by one, so that those before a failure are awaited, too
    except BaseException:
        await _leave(answers)
        raise
    results = await asyncio.gather(*answers, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _leave(answers: Sequence[asyncio.Future[Any]]) -> None:
    # Who is cancelled here is cancelled once: an answer that never comes would hold it for ever.
    for answer in answers:
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks for it
    if answers:
        await asyncio.wait(answers, timeout=LEFT_WITHIN_S)


def _packed(producer: AIOKafkaProducer, pairs: Iterable[tuple[bytes, bytes | None]]) -> Iterator[Any]:
    batch = producer.create_batch()
    for key, value in pairs:
        if batch.append(key=key, value=value, timestamp=None) is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    if batch.record_count():
        batch.close()
        yield batch


class Writer:
    """The process's one idempotent producer, for everything that is written outside of transactions.

    A failed write may have been taken by the broker or not: after one the producer is replaced, and whoever wrote
    writes again; readers drop repeats. A write that is not acknowledged within :data:`ANSWER_WITHIN_S` has failed, with
    ``TimeoutError``.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, outputs: Iterable[Output], aligned: frozenset[str] = frozenset(), own: int = 0) -> None:
        """Write outputs and return when all are acknowledged; see :func:`place` for where they go."""
        producer = await self._started()
        places = await place(producer, self._connection, outputs, aligned, own)
        await self._send(producer, places)

    async def send_to(self, topic: str, partition: int, pairs: Pairs) -> None:
        """Write to one partition of a logical topic and return when all is acknowledged."""
        for key, value in pairs:
            check_size(topic, key, value)
        await self._send(await self._started(), {Place(self._connection.topic(topic), partition): pairs})

    async def send_everywhere(self, topic: str, pairs: Pairs) -> None:
        """Write the same to every partition of a logical topic and return when all is acknowledged."""
        producer = await self._started()
        physical = self._connection.topic(topic)
        for key, value in pairs:
            check_size(topic, key, value)
        partitions = await producer.partitions_for(physical)
        await self._send(producer, {Place(physical, partition): pairs for partition in sorted(partitions)})

    async def close(self, within_s: float = 3) -> None:
        """Stop the producer; does nothing where none was started."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer, within_s)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._connection.client_options(),
                    enable_idempotence=self._connection.idempotence,
                    acks="all",
                    max_batch_size=BATCH_BYTES,
                    retry_backoff_ms=20,
                    request_timeout_ms=10_000,
                )
                try:
                    async with asyncio.timeout(ANSWER_WITHIN_S):
                        await producer.start()
                except BaseException:
                    await stop_producer(producer, 1)
                    raise
                self._producer = producer
            return self._producer

    async def _send(self, producer: AIOKafkaProducer, places: Mapping[Place, Pairs]) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await send(producer, places)
        except Exception:
            if self._producer is producer:
                self._producer = None
                await stop_producer(producer, 1)
            raise


async def stop_producer(producer: AIOKafkaProducer, within_s: float) -> None:
    """Stop a producer that may be broken: what it still holds is given up after ``within_s`` seconds."""
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait([stopping], timeout=within_s)
    if not done:
        # It waits for what it cannot deliver. There is no public way to give that up.
        producer._message_accumulator.fail_all(ProducerClosed())
        done, _ = await asyncio.wait([stopping], timeout=1)
    if not done:
        stopping.cancel()
        await asyncio.wait([stopping], timeout=1)
        await producer.client.close()
    elif not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.info("a producer ended with %r", error)
