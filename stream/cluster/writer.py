"""The one idempotent writer of a process, and the distribution of outputs that transactions use as well.

It fills aiokafka's batches directly, because aiokafka's ``send`` costs ten times as much for each record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerClosed

from models.batch import Output
from models.errors import OutputTooLarge
from stream.cluster.connection import Connection
from stream.cluster.errors import is_kafka_error, map_kafka_errors
from stream.cluster.partitioner import partition_of

__all__ = ["Appended", "Pairs", "Writer", "check_size", "distribute", "send", "stop_producer"]

logger = logging.getLogger(__name__)

BATCH_BYTES = 1_000_000
"""Size of one produce batch; Kafka's default limit (``message.max.bytes``) is 1,048,588."""
MAX_RECORD_BYTES = BATCH_BYTES - 1_000
"""Maximum size of one record's key and value together; the headers of the record and its batch need the other bytes."""

ANSWER_WITHIN_S = 60.0
"""How long a write waits for its acknowledgement, seconds.

Without a limit, aiokafka would repeat an unanswered write forever. After a timeout, the next write uses a new
connection.
"""
ABANDON_WITHIN_S = 1.0
"""How long a failed write waits for the answers to records that it sent before the failure, seconds."""
REQUEST_TIMEOUT_S = 10.0
"""How long one request may take, seconds; then aiokafka repeats it."""
MAX_QUEUED = 16
"""Maximum number of records that are appended through aiokafka's queue.

For a few records that queue is better, because it joins the records that several callers write to one partition.
"""

Pairs = list[tuple[bytes, bytes | None]]
Answers = list["asyncio.Future[Any]"]


class Appended(NamedTuple):
    """Place of an appended record.

    Attributes
    ----------
    partition
        Number of the partition.
    offset
        Offset of the record; -1 if the broker already had the record and did not say where.
    """

    partition: int
    offset: int


def check_size(topic: str, key: bytes, value: bytes | None) -> None:
    """Raise :class:`OutputTooLarge` for a key and value that do not fit into a record."""
    size = len(key) + (len(value) if value is not None else 0)
    if size > MAX_RECORD_BYTES:
        raise OutputTooLarge(topic, size, MAX_RECORD_BYTES)


class KnowsPartitions(Protocol):
    """A producer that knows how many partitions a topic has."""

    async def partitions_for(self, topic: str) -> set[int]:
        """Return the numbers of a topic's partitions."""


async def distribute(
    producer: KnowsPartitions, connection: Connection, outputs: Iterable[Output], aligned: frozenset[str], own: int
) -> dict[TopicPartition, Pairs]:
    """Sort outputs by the partition that they belong to; within a partition they keep their order.

    Parameters
    ----------
    producer
        Producer, which is asked how many partitions a topic has.
    connection
        Gives the physical names.
    outputs
        Records to write.
    aligned
        Logical topics that are partitioned like the topic that the caller reads. Their records go to partition ``own``;
        in other topics the key decides.
    own
        Number of the partition that the caller reads.

    Raises
    ------
    OutputTooLarge
        A record is too large. Nothing was sent.
    """
    by_topic: dict[str, list[Pairs]] = {}
    for topic, key, value in outputs:  # a microsecond here is a tenth of the whole cost of an event
        if len(key) + (0 if value is None else len(value)) > MAX_RECORD_BYTES:
            check_size(topic, key, value)
        lists = by_topic.get(topic)
        if lists is None:
            count = 1 if topic in aligned else len(await producer.partitions_for(connection.topic(topic)))
            lists = by_topic[topic] = [[] for _ in range(count)]
        lists[partition_of(key, len(lists)) if len(lists) > 1 else 0].append((key, value))
    return {
        TopicPartition(connection.topic(topic), own if topic in aligned else partition): pairs
        for topic, lists in by_topic.items()
        for partition, pairs in enumerate(lists)
        if pairs
    }


async def send(
    producer: AIOKafkaProducer, batches: Mapping[TopicPartition, Sequence[tuple[bytes, bytes | None]]]
) -> None:
    """Write, and return when the broker has acknowledged every record.

    The first rejection is raised after all answers have arrived. If the producer accepts only some of the records, wait
    one more second for the answers to these, then abandon them.
    """
    answers: Answers = []
    try:
        for target, pairs in batches.items():
            for batch in _packed(producer, pairs):
                answer = await producer.send_batch(batch, target.topic, partition=target.partition)
                answers.append(answer)  # one by one, so that answers from before a failure are awaited too
    except BaseException:
        await _abandon(answers)
        raise
    await _await_all(answers)


async def _await_all(answers: Answers) -> list[Any]:
    """Return all answers in their order; raise the first failure when all have arrived."""
    results = await asyncio.gather(*answers, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def _abandon(answers: Answers) -> None:
    # Wait only for a limited time, because an answer may never arrive, and a caller is cancelled only once.
    for answer in answers:
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # no other code reads the error
    if answers:
        await asyncio.wait(answers, timeout=ABANDON_WITHIN_S)


def _packed(producer: AIOKafkaProducer, pairs: Iterable[tuple[bytes, bytes | None]]) -> Iterator[Any]:
    """Yield closed batches that hold the pairs in their order."""
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
    """The one idempotent producer of a process, for everything that is written outside of transactions.

    After a failed write it is unknown whether the broker has the records. So the producer is replaced, and the caller
    writes the same records again; readers drop repeats.

    Parameters
    ----------
    connection
        The cluster.
    answer_within_s
        How long a write waits for its acknowledgement, seconds.

    Attributes
    ----------
    answer_within_s
        See the parameter.

    Raises
    ------
    BrokerUnavailable
        Not all records were acknowledged in time; every method that writes can raise it.
    OutputTooLarge
        A record is too large, and nothing was written; every method that writes can raise it.
    """

    def __init__(self, connection: Connection, *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._connection = connection
        self.answer_within_s = answer_within_s
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Writer({self._connection.servers!r}, {'started' if self.is_started else 'not started'})"

    @property
    def is_started(self) -> bool:
        """Whether the writer has a producer; after a failed write it has none until the next write."""
        return self._producer is not None

    async def send(self, outputs: Iterable[Output], aligned: frozenset[str] = frozenset(), own: int = 0) -> None:
        """Write outputs and return when all are acknowledged; :func:`distribute` chooses their partitions."""
        with self._errors():
            producer = await self._started()
            await self._send(producer, await distribute(producer, self._connection, outputs, aligned, own))

    async def send_to(self, topic: str, partition: int, pairs: Pairs) -> None:
        """Write to one partition of a logical topic and return when everything is acknowledged."""
        for key, value in pairs:
            check_size(topic, key, value)
        with self._errors():
            target = TopicPartition(self._connection.topic(topic), partition)
            await self._send(await self._started(), {target: pairs})

    async def send_everywhere(self, topic: str, pairs: Pairs) -> None:
        """Write the same records to every partition of a logical topic and return when all are acknowledged."""
        for key, value in pairs:
            check_size(topic, key, value)
        with self._errors():
            producer = await self._started()
            physical = self._connection.topic(topic)
            partitions = await producer.partitions_for(physical)
            await self._send(producer, {TopicPartition(physical, number): pairs for number in sorted(partitions)})

    async def append(self, records: Sequence[tuple[TopicPartition, bytes, bytes | None]]) -> list[Appended]:
        """Write records (partition, key, value) in their order, and return where each of them is stored."""
        for target, key, value in records:
            check_size(target.topic, key, value)
        if not records:
            return []
        producer: AIOKafkaProducer | None = None
        with self._errors():
            try:
                async with asyncio.timeout(self.answer_within_s):
                    producer = await self._started()
                    enqueue = _enqueue_few if len(records) <= MAX_QUEUED else _enqueue_many
                    answers = await enqueue(producer, records)
                    # Not gather, because a timeout must not cancel futures that the producer still holds.
                    await asyncio.wait([answer for answer, _ in answers])
                    return [_appended(answer.result(), index) for answer, index in answers]
            except Exception:
                if producer is not None:
                    await self._replace(producer)
                raise

    async def reachable(self, within_s: float) -> bool:
        """Return whether Kafka answers within ``within_s`` seconds."""
        try:
            async with asyncio.timeout(within_s):
                producer = await self._started()
                # aiokafka has no public call that asks the cluster again.
                return bool(await producer.client.force_metadata_update())
        except Exception as error:
            if not is_kafka_error(error):
                raise
            return False

    async def close(self, within_s: float = 3) -> None:
        """Stop the producer, if there is one; acknowledged records stay written."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer, within_s)

    def _errors(self) -> AbstractContextManager[None]:
        return map_kafka_errors(f"Kafka at {self._connection.servers} did not acknowledge a write")

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._connection.client_options(),
                    enable_idempotence=self._connection.idempotence,
                    acks="all",
                    max_batch_size=BATCH_BYTES,
                    retry_backoff_ms=20,
                    request_timeout_ms=int(min(REQUEST_TIMEOUT_S, self.answer_within_s) * 1000),
                )
                try:
                    async with asyncio.timeout(self.answer_within_s):
                        await producer.start()
                except BaseException:
                    await stop_producer(producer, 1)
                    raise
                self._producer = producer
            return self._producer

    async def _send(self, producer: AIOKafkaProducer, batches: Mapping[TopicPartition, Pairs]) -> None:
        try:
            async with asyncio.timeout(self.answer_within_s):
                await send(producer, batches)
        except Exception:
            await self._replace(producer)
            raise

    async def _replace(self, producer: AIOKafkaProducer) -> None:
        """Stop a producer after a failure; the next write starts another one with an empty queue."""
        if self._producer is producer:
            self._producer = None
            await stop_producer(producer, 1)


async def _enqueue_few(
    producer: AIOKafkaProducer, records: Iterable[tuple[TopicPartition, bytes, bytes | None]]
) -> list[tuple[asyncio.Future[Any], int]]:
    return [
        (await producer.send(target.topic, value, key, partition=target.partition), 0) for target, key, value in records
    ]


async def _enqueue_many(
    producer: AIOKafkaProducer, records: Sequence[tuple[TopicPartition, bytes, bytes | None]]
) -> list[tuple[asyncio.Future[Any], int]]:
    """Give records to the producer in batches; return for each record its batch's answer and its index."""
    by_target: dict[TopicPartition, list[int]] = {}
    for number, (target, _, _) in enumerate(records):
        by_target.setdefault(target, []).append(number)
    answers: dict[int, tuple[asyncio.Future[Any], int]] = {}
    for target, numbers in by_target.items():
        remaining = iter(numbers)
        for batch in _packed(producer, (records[number][1:] for number in numbers)):
            answer = await producer.send_batch(batch, target.topic, partition=target.partition)
            for index in range(batch.record_count()):
                answers[next(remaining)] = answer, index
    return [answers[number] for number in range(len(records))]


def _appended(metadata: Any, index: int) -> Appended:
    return Appended(metadata.partition, metadata.offset + index if metadata.offset >= 0 else -1)


async def stop_producer(producer: AIOKafkaProducer, within_s: float) -> None:
    """Stop a producer that may be broken; after ``within_s`` seconds, abandon the records that it has not delivered."""
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait([stopping], timeout=within_s)
    if not done:
        # The producer waits for records that it cannot deliver, and no public call makes it abandon them.
        producer._message_accumulator.fail_all(ProducerClosed())
        done, _ = await asyncio.wait([stopping], timeout=1)
    if not done:
        stopping.cancel()
        await asyncio.wait([stopping], timeout=1)
        await producer.client.close()
    elif not stopping.cancelled() and (error := stopping.exception()) is not None:
        logger.info("a producer ended with %r", error)
