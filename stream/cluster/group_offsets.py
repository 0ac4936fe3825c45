"""Reader of the offsets that a consumer group has committed, without becoming a member of the group."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.cluster.connection import Connection
from stream.cluster.errors import map_kafka_errors

__all__ = ["GroupOffsets"]


class GroupOffsets:
    """Committed offsets of a consumer group in some partitions; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    group
        Name of the group, without the installation's prefix.
    partitions
        Partitions to ask for.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer; every method can raise it.
    """

    def __init__(self, connection: Connection, group: str, partitions: Iterable[TopicPartition]) -> None:
        self._partitions: Sequence[TopicPartition] = tuple(partitions)
        self._connection = connection
        self._group = connection.group(group)
        self._consumer: AIOKafkaConsumer | None = None

    def __repr__(self) -> str:
        return f"GroupOffsets({self._group!r}, {len(self._partitions)} partitions)"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect to Kafka; ``async with`` does it as well."""
        # Partitions are assigned explicitly, so this consumer never joins the group. It fetches and commits nothing.
        consumer = AIOKafkaConsumer(**self._connection.client_options(), group_id=self._group, enable_auto_commit=False)
        with map_kafka_errors(f"the offsets of the group {self._group} cannot be read"):
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
        consumer.assign(list(self._partitions))
        consumer.pause(*self._partitions)
        self._consumer = consumer

    async def stop(self) -> None:
        """Close the connection to Kafka, if there is one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def read(self) -> dict[TopicPartition, int | None]:
        """Return the committed offset of each partition; ``None`` if there is none."""
        assert self._consumer is not None, "GroupOffsets have to be started"
        with map_kafka_errors(f"the offsets of the group {self._group} cannot be read"):
            offsets = await asyncio.gather(*(self._consumer.committed(place) for place in self._partitions))
        return dict(zip(self._partitions, offsets, strict=True))
