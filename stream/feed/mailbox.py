"""What simulated shoppers find in their mailboxes: the messages that the fold has committed."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.engage.messages import decode_message
from models.events import CHANNELS
from models.storefront.storefront import Received
from stream.connection import Connection

logger = logging.getLogger(__name__)


class Mailbox:
    """Reads every ``messages.<channel>`` from its beginning; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Of each channel's topic.
    """

    def __init__(self, connection: Connection, partitions: int) -> None:
        self._places = [
            TopicPartition(connection.topic(f"messages.{channel}"), partition)
            for channel in CHANNELS
            for partition in range(partitions)
        ]
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def new(self) -> list[Received]:
        """Messages that have come since the last call; does not wait for any."""
        found = []
        try:
            batches = await self._consumer.getmany(timeout_ms=0)
        except KafkaError as error:
            logger.warning("the mailbox cannot be read now: %r", error)
            return []
        for records in batches.values():
            for record in records:
                try:
                    message = decode_message(record.value or b"")
                except msgspec.DecodeError as error:
                    logger.warning("record %d of %s is no message: %s", record.offset, record.topic, error)
                    continue
                found.append(
                    Received(
                        id=message.id,
                        user=message.user,
                        channel=message.channel,
                        at=message.at,
                        marketing=message.category == "marketing",
                    )
                )
        # Partitions answer in any order; what a shopper does may not depend on it.
        return sorted(found, key=lambda message: (message.at, message.id))
