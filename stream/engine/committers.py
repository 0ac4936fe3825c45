"""Committers make the outputs of an agent durable: one protocol, three ways.

On Apache Kafka, outputs, state and position are one transaction. The embedded broker has no transactions: there, they
are written one after the other, so a crash in between repeats outputs and loses none. A relay (the router) has no
state: its position is the offset of its group, committed after the outputs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import TopicPartition

from models.batch import Checkpoint, Commit, Restored
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.hanging_transactions import end_hanging_transactions
from stream.cluster.transactional_writer import TransactionalWriter
from stream.cluster.writer import ANSWER_WITHIN_S, BATCH_BYTES, Pairs, Writer, check_size, distribute
from stream.engine.state import POSITION_KEY, encode_position, restore

logger = logging.getLogger(__name__)

ABORT_WITHIN_S = 1.0
"""How long an abort may take, seconds. After that, the fencing of the next owner ends the transaction."""
MAX_ONE_BATCH_BYTES = BATCH_BYTES // 2
"""Maximum size of records that fit into one produce batch, whatever their own overhead is."""
STOP_WITHIN_S = 2.0
"""How long a writer may take to close its connections, seconds."""
UNREADABLE_S = 20.0
"""How long to wait for an answer of a state partition before a hanging transaction is searched for, seconds."""
TRANSACTION_TIMEOUT_MS = 90_000
"""How long a transaction of a dead owner stays open if no new owner fences it, milliseconds.

It is longer than the longest wait for a broker's answer and the abort after it. When the broker ends a transaction, it
fences the producer, so a shorter time would fence an owner that only waits for a slow broker. No process waits for this
time: the new owner of a partition ends the transaction of a dead owner immediately.
"""


class Committer(Protocol):
    """Owner of a partition, which makes commits durable. It is used once, from :meth:`fence` to :meth:`stop`."""

    async def fence(self) -> None:
        """Shut the previous owner out. Only the owner that the group has named may do so."""

    async def restore(self) -> Restored:
        """Read the last commit of the previous owner, after :meth:`fence`."""

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Make a commit durable; return when all of it is durable.

        Parameters
        ----------
        commit
            Outputs and changed state.
        checkpoint
            Position and memo to store with it. The position and memo inside ``commit`` are not read, because an agent
            may omit them.

        Raises
        ------
        ProducerFenced
            Another process has taken the partition over.
        OutputTooLarge
            A record is too large. Nothing was written.
        KafkaError
            The commit has no effect, or its outcome is unknown. Continue with a new committer.
        """

    async def stop(self) -> None:
        """Release all resources; uncommitted work has no effect."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """The partition that a committer owns.

    Attributes
    ----------
    transactional_id
        Transactional id, which is the same for every owner that the partition ever has.
    partition
        Number of the lane's partition, and of its state partition.
    state_topic
        Logical name of the compacted topic of its state.
    aligned
        Logical topics that are partitioned like the lane's own.
    slots
        Slots of the process's restores; see :func:`stream.engine.state.restore`.
    """

    transactional_id: str
    partition: int
    state_topic: str
    aligned: frozenset[str] = frozenset()
    slots: asyncio.Semaphore | None = field(default=None, compare=False, repr=False)


class TransactionalCommitter:
    """Committer on Apache Kafka: outputs, state and position become visible together, or not at all.

    Parameters
    ----------
    connection
        The cluster.
    own
        The partition that it owns.
    """

    def __init__(self, connection: Connection, own: Ownership) -> None:
        self._connection = connection
        self._own = own
        self._writer = TransactionalWriter(connection, own.transactional_id, timeout_ms=TRANSACTION_TIMEOUT_MS)

    def __repr__(self) -> str:
        return f"<TransactionalCommitter {self._own.transactional_id}>"

    async def fence(self) -> None:
        """Start the writer, which fences the previous owner and ends its open transaction."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await self._writer.start()

    async def restore(self) -> Restored:
        """Read the state partition to its end.

        If a hanging transaction blocks the partition, end that transaction, so that the next run can read the state.
        """
        own, topic = self._own, self._connection.topic(self._own.state_topic)
        try:
            return await restore(
                self._connection, own.state_topic, own.partition, silence_s=UNREADABLE_S, slots=own.slots
            )
        except TimeoutError:
            try:
                await asyncio.to_thread(
                    end_hanging_transactions, self._connection, own.transactional_id, topic, own.partition
                )
            except BrokerUnavailable as error:
                logger.warning("%s-%d cannot be read, and the reason is unknown: %s", topic, own.partition, error)
            raise

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write everything in one transaction; see :class:`Committer`."""
        own = self._own
        places = await distribute(self._writer, self._connection, commit.records, own.aligned, own.partition)
        places[_state_place(self._connection, own)] = _state_pairs(own.state_topic, commit, checkpoint)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._writer.send(places)
                await self._writer.commit()
        except BaseException:
            await self._abort()
            raise

    async def stop(self) -> None:
        """Stop the writer; the next owner, or the broker's timeout, ends an open transaction."""
        await self._try("stopped", self._writer.stop(), STOP_WITHIN_S)

    async def _abort(self) -> None:
        # An open transaction holds readers back, so even a cancelled task aborts it. If the abort takes too long, the
        # fencing of the next owner ends the transaction.
        await self._try("aborted", self._writer.abort(), ABORT_WITHIN_S)

    async def _try(self, what: str, doing: Coroutine[None, None, None], within_s: float) -> None:
        """Await something whose failure changes nothing."""
        task = asyncio.ensure_future(doing)
        done, _ = await asyncio.wait([task], timeout=within_s)
        if not done:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("%s: not %s: %r", self._own.transactional_id, what, error)


class OrderedCommitter:
    """Committer on the embedded broker: outputs, then state, then position. A crash in between repeats the outputs.

    Parameters
    ----------
    connection
        The cluster.
    own
        The partition that it owns.
    writer
        The process's idempotent producer.
    """

    def __init__(self, connection: Connection, own: Ownership, writer: Writer) -> None:
        self._connection = connection
        self._own = own
        self._writer = writer

    def __repr__(self) -> str:
        return f"<OrderedCommitter {self._own.transactional_id}>"

    async def fence(self) -> None:
        """Skip fencing, because this broker cannot shut a stalled previous owner out."""

    async def restore(self) -> Restored:
        """Read the state partition to its end."""
        own = self._own
        return await restore(self._connection, own.state_topic, own.partition, slots=own.slots)

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write outputs, then state, then position, each acknowledged before the next.

        State that fits into one produce batch is written together with the position, because the broker stores a whole
        batch or nothing of it.
        """
        own = self._own
        state = _state_pairs(own.state_topic, commit)
        position = _position_pair(checkpoint)
        if commit.records:
            await self._writer.send(commit.records, own.aligned, own.partition)
        if sum(len(key) + len(value or b"") for key, value in [*state, position]) <= MAX_ONE_BATCH_BYTES:
            await self._writer.send_to(own.state_topic, own.partition, [*state, position])
            return
        await self._writer.send_to(own.state_topic, own.partition, state)
        await self._writer.send_to(own.state_topic, own.partition, [position])

    async def stop(self) -> None:
        """Release nothing, because this committer holds no resources."""


class RelayCommitter:
    """Committer of a relay: outputs, then the offset of the group. A crash in between repeats the outputs.

    Parameters
    ----------
    writer
        The process's idempotent producer.
    partition
        Number of the lane's partition.
    read_offset
        Returns the group's committed offset of the partition; ``None`` if there is none.
    commit_offset
        Commits that offset.
    aligned
        Logical topics that are partitioned like the lane's own.
    """

    def __init__(
        self,
        writer: Writer,
        partition: int,
        read_offset: Callable[[], Awaitable[int | None]],
        commit_offset: Callable[[int], Awaitable[None]],
        aligned: frozenset[str] = frozenset(),
    ) -> None:
        self._writer = writer
        self._partition = partition
        self._read_offset = read_offset
        self._commit_offset = commit_offset
        self._aligned = aligned

    def __repr__(self) -> str:
        return f"<RelayCommitter partition={self._partition}>"

    async def fence(self) -> None:
        """Skip fencing, because a process that is no longer a member of the group cannot commit an offset."""

    async def restore(self) -> Restored:
        """Read the group's offset."""
        return Restored(partition=self._partition, position=await self._read_offset() or 0)

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write outputs, then commit the offset; raise ``ValueError`` if there is state or a memo to store."""
        if commit.state or checkpoint.memo:
            raise ValueError("a relay keeps neither state nor memo")
        if commit.records:
            await self._writer.send(commit.records, self._aligned, self._partition)
        await self._commit_offset(checkpoint.position)

    async def stop(self) -> None:
        """Release nothing, because this committer holds no resources."""


def _state_place(connection: Connection, own: Ownership) -> TopicPartition:
    return TopicPartition(connection.topic(own.state_topic), own.partition)


def _position_pair(checkpoint: Checkpoint) -> tuple[bytes, bytes]:
    return POSITION_KEY, encode_position(checkpoint.position, checkpoint.memo)


def _state_pairs(topic: str, commit: Commit, checkpoint: Checkpoint | None = None) -> Pairs:
    pairs: Pairs = list(commit.state.items())
    if checkpoint is not None:
        pairs.append(_position_pair(checkpoint))
    for key, value in pairs:
        check_size(topic, key, value)
    return pairs
