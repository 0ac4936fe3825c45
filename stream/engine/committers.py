"""How what an agent yielded becomes durable: one seam, three ways.

On Apache Kafka outputs, state and position are one transaction. The embedded broker has none: there they are written
one after the other, so that a crash in between repeats and never loses. A relay (the router) has no state: the position
is its group's offset, committed after its sends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import AIOKafkaProducer, TopicPartition

from models.batch import Checkpoint, Commit, Restored
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.hanging_transactions import end_hanging_transactions
from stream.cluster.writer import (
    ANSWER_WITHIN_S,
    BATCH_BYTES,
    Pairs,
    Writer,
    check_size,
    distribute,
    send,
    stop_producer,
)
from stream.engine.state import POSITION_KEY, encode_position, restore

log = logging.getLogger(__name__)

ABORT_WITHIN_S = 1.0
ONE_BATCH_BYTES = BATCH_BYTES // 2
"""So much fits into one produce batch whatever the records' own overhead."""
STOP_WITHIN_S = 2.0
UNREADABLE_S = 20.0
"""A state that tells nothing for so long, and whose end was not reached, may stand behind a forgotten transaction."""
TRANSACTION_TIMEOUT_MS = 90_000
"""After it the broker ends what a dead owner left open, where no successor has fenced it before.

Longer than an answer may take, and the abort behind it: the broker fences whoever it ends a transaction for, and an
owner that only waited for a slow broker would learn from its next call that it owns nothing any more. Nobody waits for
it: the successor of a dead owner ends its transaction at once.
"""


class Committer(Protocol):
    """Takes a partition over and makes commits durable; used once, from :meth:`fence` to :meth:`stop`."""

    async def fence(self) -> None:
        """Shut the former owner out; only for whoever the group says is the owner now."""

    async def restore(self) -> Restored:
        """Read what the former owner committed, after :meth:`fence`."""

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Return when all of it is durable.

        Parameters
        ----------
        commit
            Outputs and changed state.
        checkpoint
            Position and memo that are stored beside it. They replace those of ``commit``, which may be left open.

        Raises
        ------
        ProducerFenced
            When somebody else has taken the partition over.
        OutputTooLarge
            Before anything was written.
        KafkaError
            When none of it counts, or that is unknown: go on with a new committer.
        """

    async def stop(self) -> None:
        """Let go; what was not committed never happened."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a committer owns.

    Attributes
    ----------
    transactional_id
        The same for every owner that the partition ever has.
    partition
        The lane's, and that of its state.
    state_topic
        Logical name of its compacted state.
    aligned
        Logical topics that are partitioned like the lane's own.
    turns
        Of the process's restores; see :func:`stream.engine.state.restore`.
    """

    transactional_id: str
    partition: int
    state_topic: str
    aligned: frozenset[str] = frozenset()
    turns: asyncio.Semaphore | None = field(default=None, compare=False, repr=False)


class TransactionalCommitter:
    """Apache Kafka: outputs, state and position are visible together or not at all."""

    def __init__(self, connection: Connection, own: Ownership) -> None:
        self._connection = connection
        self._own = own
        self._producer = AIOKafkaProducer(
            **connection.client_options(),
            transactional_id=own.transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=10_000,
            # Right after a transaction Kafka answers the next one's first produce with NotEnoughReplicas while the
            # last one's markers are written; aiokafka's default of 100 ms there makes p99 250 ms.
            retry_backoff_ms=5,
        )

    async def fence(self) -> None:
        """Start the producer, which fences the former owner and ends its open transaction."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await self._producer.start()

    async def restore(self) -> Restored:
        """Read the state partition to its end; what holds it back though it was fenced is ended for the next life."""
        own, topic = self._own, self._connection.topic(self._own.state_topic)
        try:
            return await restore(
                self._connection, own.state_topic, own.partition, silence_s=UNREADABLE_S, slots=own.turns
            )
        except TimeoutError:
            try:
                await asyncio.to_thread(
                    end_hanging_transactions, self._connection, own.transactional_id, topic, own.partition
                )
            except BrokerUnavailable as error:
                log.warning("%s-%d cannot be read, and nobody says why: %s", topic, own.partition, error)
            raise

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write everything in one transaction; see :class:`Committer`."""
        own = self._own
        places = await distribute(self._producer, self._connection, commit.records, own.aligned, own.partition)
        places[_state_place(self._connection, own)] = _state_pairs(own.state_topic, commit, checkpoint)
        await self._producer.begin_transaction()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await send(self._producer, places)
                await self._producer.commit_transaction()
        except BaseException:
            await self._abort()
            raise

    async def stop(self) -> None:
        """Stop the producer; an open transaction is ended by its successor, or by the broker's timeout."""
        await stop_producer(self._producer, STOP_WITHIN_S)

    async def _abort(self) -> None:
        # Readers wait behind an open transaction, so it is ended even by who is being cancelled; but whoever cannot end
        # it soon leaves that to the next owner's fencing.
        aborting = asyncio.ensure_future(self._producer.abort_transaction())
        done, _ = await asyncio.wait([aborting], timeout=ABORT_WITHIN_S)
        if not done:
            aborting.cancel()
            await asyncio.wait([aborting])
        if not aborting.cancelled() and (error := aborting.exception()) is not None:
            log.info("%s: not aborted: %r", self._own.transactional_id, error)


class OrderedCommitter:
    """The embedded broker: outputs, then state, then position. A crash in between repeats the outputs."""

    def __init__(self, connection: Connection, own: Ownership, writer: Writer) -> None:
        self._connection = connection
        self._own = own
        self._writer = writer

    async def fence(self) -> None:
        """Do nothing: nothing here can shut a stalled former owner out."""

    async def restore(self) -> Restored:
        """Read what was written."""
        own = self._own
        return await restore(self._connection, own.state_topic, own.partition, slots=own.turns)

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write outputs, then state, then position, each acknowledged before the next.

        State that fits into one produce batch takes the position along: the broker keeps a batch whole or not at all.
        """
        own = self._own
        state = _state_pairs(own.state_topic, commit)
        position = _position_pair(checkpoint)
        if commit.records:
            await self._writer.send(commit.records, own.aligned, own.partition)
        if sum(len(key) + len(value or b"") for key, value in [*state, position]) <= ONE_BATCH_BYTES:
            await self._writer.send_to(own.state_topic, own.partition, [*state, position])
            return
        await self._writer.send_to(own.state_topic, own.partition, state)
        await self._writer.send_to(own.state_topic, own.partition, [position])

    async def stop(self) -> None:
        """Nothing is held."""


class RelayCommitter:
    """No state: outputs are acknowledged, then the group's offset moves. A crash in between repeats the outputs.

    Parameters
    ----------
    writer
        The process's idempotent producer.
    partition
        The lane's.
    read_offset
        Gives the group's committed offset of the partition, ``None`` where there is none.
    commit_offset
        Commits it.
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

    async def fence(self) -> None:
        """Do nothing: who is no member of the group any more commits no offset."""

    async def restore(self) -> Restored:
        """Read the group's offset."""
        return Restored(partition=self._partition, position=await self._read_offset() or 0)

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write outputs, then commit the offset; raises ``ValueError`` where there is state to keep."""
        if commit.state or checkpoint.memo:
            raise ValueError("a relay keeps neither state nor memo")
        if commit.records:
            await self._writer.send(commit.records, self._aligned, self._partition)
        await self._commit_offset(checkpoint.position)

    async def stop(self) -> None:
        """Nothing is held."""


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
