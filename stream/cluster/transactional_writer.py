"""Producer of one transactional id that writes one transaction after the other, with little work for each of them.

aiokafka's producer takes records one by one, from many tasks, into queues that a background task sends. A lane has all
records of a transaction at once, and waits for all answers anyway. So this writer builds the batches of all partitions,
sends one request to each of their leaders, and then ends the transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, time
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    ConcurrentTransactions,
    DuplicateSequenceNumber,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from stream.cluster.connection import Connection
from stream.cluster.transaction_coordinator import UNANSWERED, Producer, TransactionCoordinator, error_of, pauses
from stream.cluster.transaction_protocol import ProduceInTransaction
from stream.cluster.writer import ABANDON_WITHIN_S, BATCH_BYTES, REQUEST_TIMEOUT_S

__all__ = ["TransactionalWriter", "packed"]

logger = logging.getLogger(__name__)

METADATA_WITHIN_S = 10.0
"""How long a topic may be unknown to the cluster, seconds."""
ENDS_WITHIN_S = 0.01
"""How long after a commit the next transaction asks whether the end of the previous one is written, seconds.

After its answer to a commit, the broker writes the end of the transaction into all partitions, which takes a few
milliseconds. A produce request that arrives before that waits in the broker for another 20 ms
(``add.partitions.to.txn.retry.backoff.ms``). So it is faster to ask first.
"""
_STORED = frozenset({0, DuplicateSequenceNumber.errno})
_SEQUENCES = 2**31
_NO_LEADER = -1
_REQUEST_TIMEOUT_MS = int(REQUEST_TIMEOUT_S * 1000)

Waiting = dict[TopicPartition, deque[bytes]]


class TransactionalWriter:
    """Producer of one transactional id; see the module.

    A transaction begins with :meth:`send` and ends with :meth:`commit` or :meth:`abort`. All requests are repeated
    until the brokers have decided, so the caller sets the time limits. After any error, only :meth:`abort` and
    :meth:`stop` may follow.

    Parameters
    ----------
    connection
        The cluster.
    transactional_id
        Transactional id, which is the same for every owner.
    timeout_ms
        After this time, the broker aborts a transaction that its owner does not end, milliseconds.

    Attributes
    ----------
    timeout_ms
        As the parameter.

    Raises
    ------
    ProducerFenced
        From every method that writes: another producer has taken the transactional id.
    KafkaError
        From every method that writes: the brokers refuse the transaction.
    """

    def __init__(self, connection: Connection, transactional_id: str, *, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        self._id = transactional_id
        self._client = AIOKafkaClient(**connection.client_options(), request_timeout_ms=_REQUEST_TIMEOUT_MS)
        self._coordinator = TransactionCoordinator(self._client, transactional_id)
        self._producer = Producer(-1, -1)
        self._sequences: dict[TopicPartition, int] = {}
        self._added: set[TopicPartition] = set()
        self._ended_at = -ENDS_WITHIN_S
        self._is_open = False
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<TransactionalWriter {self._id} {self._producer}>"

    async def start(self) -> None:
        """Connect, fence the previous owner, and end its open transaction."""
        await self._client.bootstrap()
        self._producer = await self._coordinator.take_over(self.timeout_ms)

    async def partitions_for(self, topic: str) -> set[int]:
        """Return the numbers of a topic's partitions.

        Raises
        ------
        UnknownTopicOrPartitionError
            The cluster does not know the topic.
        """
        cluster = self._client.cluster
        found: set[int] | None = cluster.partitions_for_topic(topic)
        if found is None:
            await self._client.add_topic(topic)
        delays, until = pauses(), monotonic() + METADATA_WITHIN_S
        while found is None and (found := cluster.partitions_for_topic(topic)) is None:
            if topic in cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(topic)
            if monotonic() > until:
                raise UnknownTopicOrPartitionError(topic)
            await asyncio.sleep(next(delays))
            await self._client.force_metadata_update()
        return found

    async def send(self, batches: Mapping[TopicPartition, Sequence[tuple[bytes, bytes | None]]]) -> None:
        """Write records within the transaction, and return when the brokers have acknowledged all of them.

        The first refusal is raised after all answers to the same requests have arrived.
        """
        adds_by_produce = self._coordinator.adds_by_produce
        if adds_by_produce and not self._is_open and monotonic() - self._ended_at < ENDS_WITHIN_S:
            await self._coordinator.await_end()
        self._is_open = True
        waiting = {place: self._packed(place, pairs) for place, pairs in batches.items()}
        if not adds_by_produce and (new := batches.keys() - self._added):
            await self._coordinator.add(self._producer, new)
            self._added |= new
        delays = pauses()
        while waiting:
            if not await self._send_first(waiting):
                await asyncio.sleep(next(delays))

    async def commit(self) -> None:
        """Commit the transaction. If this fails, it is unknown whether the transaction is committed."""
        self._is_ending = True
        await self._end(commit=True)

    async def abort(self) -> None:
        """Abort the transaction, unless none is open or its commit has begun.

        A commit that has begun cannot be taken back. If it failed, the next owner waits until the coordinator has
        decided.
        """
        if self._is_open and not self._is_ending:
            self._is_ending = True
            await self._end(commit=False)

    async def stop(self) -> None:
        """Close the connections; the next owner, or the broker's timeout, ends an open transaction."""
        await self._client.close()

    async def _end(self, *, commit: bool) -> None:
        producer = await self._coordinator.end(self._producer, commit=commit)
        if producer != self._producer:
            self._producer = producer
            self._sequences.clear()  # every epoch begins with 0
        self._added.clear()
        self._ended_at = monotonic()
        self._is_open = self._is_ending = False

    def _packed(self, place: TopicPartition, pairs: Iterable[tuple[bytes, bytes | None]]) -> deque[bytes]:
        batches, self._sequences[place] = packed(pairs, self._producer, self._sequences.get(place, 0))
        return batches

    async def _send_first(self, waiting: Waiting) -> bool:
        """Send the first waiting batch of each partition; remove what is stored, and return whether all of it is.

        A batch that is not stored is sent again before the next one of its partition, with the same sequence number. So
        the order is kept, and the leader recognizes a batch that it has stored without our learning it.
        """
        leaders = await self._leaders(waiting)
        is_stale = leaders.pop(_NO_LEADER, None) is not None
        answers = await self._ask_all(
            {leader: {place: waiting[place][0] for place in places} for leader, places in leaders.items()}
        )
        failure: KafkaError | None = None
        is_complete = not is_stale
        for leader, places in leaders.items():
            codes = answers[leader]
            for place in places:
                code = codes.get(place)
                if code in _STORED:
                    waiting[place].popleft()
                    if not waiting[place]:
                        del waiting[place]
                    continue
                is_complete = False
                if code is None:
                    is_stale = True
                elif code != ConcurrentTransactions.errno:
                    error = for_code(code)
                    is_stale = is_stale or error.invalid_metadata
                    if not error.retriable and failure is None:
                        failure = error_of(code)
                logger.info("%s: %s-%d answered %s, not stored yet", self._id, *place, code)
        if failure is not None:
            raise failure
        if is_stale:
            await self._client.force_metadata_update()
        return is_complete

    async def _leaders(self, places: Iterable[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """Return the partitions of each leader; those without a leader are at :data:`_NO_LEADER`."""
        found: dict[int, list[TopicPartition]] = {}
        for place in places:
            leader = self._client.cluster.leader_for_partition(place)
            if leader is None:
                await self.partitions_for(place.topic)
                leader = self._client.cluster.leader_for_partition(place)
            found.setdefault(_NO_LEADER if leader is None else leader, []).append(place)
        return found

    async def _ask_all(
        self, requests: Mapping[int, Mapping[TopicPartition, bytes]]
    ) -> dict[int, dict[TopicPartition, int]]:
        """Send one request to each leader at the same time, and return their error codes when all have answered."""
        asked = {leader: asyncio.ensure_future(self._produce(leader, batches)) for leader, batches in requests.items()}
        if not asked:
            return {}
        try:
            await asyncio.wait(asked.values())
        except asyncio.CancelledError:
            # The transaction is aborted next. A batch should not arrive after that.
            await asyncio.wait(asked.values(), timeout=ABANDON_WITHIN_S)
            for one in asked.values():
                one.cancel()
            raise
        return {leader: one.result() for leader, one in asked.items()}

    async def _produce(self, leader: int, batches: Mapping[TopicPartition, bytes]) -> dict[TopicPartition, int]:
        """Return the error code for each partition that the leader has answered for."""
        topics: dict[str, list[tuple[int, bytes]]] = {}
        for place, batch in batches.items():
            topics.setdefault(place.topic, []).append((place.partition, batch))
        listed = list(topics.items())
        request: Any = (
            ProduceInTransaction(self._id, _REQUEST_TIMEOUT_MS, listed)
            if self._coordinator.adds_by_produce
            else ProduceRequest(self._id, -1, _REQUEST_TIMEOUT_MS, listed)
        )
        try:
            answer = await self._client.send(leader, request)
        except UNANSWERED as error:
            logger.info("%s: no answer from node %d: %r", self._id, leader, error)
            return {}
        return {
            TopicPartition(topic, partition): code
            for topic, partitions, *_ in answer.topics
            for partition, code, *_ in partitions
        }


def packed(pairs: Iterable[tuple[bytes, bytes | None]], producer: Producer, sequence: int) -> tuple[deque[bytes], int]:
    """Return the pairs in transactional batches, and the sequence number after them.

    Parameters
    ----------
    pairs
        Keys and values.
    producer
        The producer that writes them.
    sequence
        Sequence number of the first pair in its partition.
    """
    now_ms = int(time() * 1000)
    found: deque[bytes] = deque()
    builder, count = _builder(producer, sequence), 0
    for key, value in pairs:
        if builder.append(count, now_ms, key, value, []) is None:
            found.append(builder.build())
            sequence = (sequence + count) % _SEQUENCES
            builder, count = _builder(producer, sequence), 0
            builder.append(0, now_ms, key, value, [])
        count += 1
    if count:
        found.append(builder.build())
    return found, (sequence + count) % _SEQUENCES


def _builder(producer: Producer, sequence: int) -> DefaultRecordBatchBuilder:
    return DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=1, producer_id=producer.id, producer_epoch=producer.epoch,
        base_sequence=sequence, batch_size=BATCH_BYTES,
    )  # fmt: skip
