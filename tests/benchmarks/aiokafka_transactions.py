"""A committer with aiokafka's transactional producer, for comparison.

It writes the same records in the same order as :class:`stream.engine.committers.TransactionalCommitter`, fences, and
awaits every answer before the commit. It fills aiokafka's batches directly, which is the cheapest way into aiokafka.
"""

from __future__ import annotations

from aiokafka import AIOKafkaProducer, TopicPartition

from models.batch import Checkpoint, Commit, Restored
from stream.cluster.connection import Connection
from stream.cluster.writer import BATCH_BYTES, distribute, send, stop_producer
from stream.engine.committers import TRANSACTION_TIMEOUT_MS, Ownership
from stream.engine.state import POSITION_KEY, encode_position, restore


class AiokafkaCommitter:
    """Committer with aiokafka's producer; see the module.

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
        self._producer = AIOKafkaProducer(
            **connection.client_options(),
            transactional_id=own.transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=10_000,
            retry_backoff_ms=5,  # aiokafka's default of 100 ms would delay a transaction that follows another at once
        )

    async def fence(self) -> None:
        """Start the producer, which fences the previous owner."""
        await self._producer.start()

    async def restore(self) -> Restored:
        """Read the state partition to its end."""
        return await restore(self._connection, self._own.state_topic, self._own.partition)

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        """Write everything in one transaction."""
        own = self._own
        places = await distribute(self._producer, self._connection, commit.records, own.aligned, own.partition)
        position = POSITION_KEY, encode_position(checkpoint.position, checkpoint.memo)
        places[TopicPartition(self._connection.topic(own.state_topic), own.partition)] = [
            *commit.state.items(),
            position,
        ]
        await self._producer.begin_transaction()
        await send(self._producer, places)
        await self._producer.commit_transaction()

    async def stop(self) -> None:
        """Stop the producer."""
        await stop_producer(self._producer, 2)
