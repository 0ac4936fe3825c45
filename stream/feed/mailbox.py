"""What simulated shoppers find in their mailboxes: the messages that the fold has committed."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.events import CHANNELS
from models.storefront.storefront import ReceivedMessage
from stream.cluster.connection import Connection
from stream.log.event_log import LogUnavailable

logger = logging.getLogger(__name__)

_WAIT_MS = 200
_RETRY_S = 0.5


class Mailbox:
    """Reads every ``messages.<channel>`` from its beginning; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Of each channel's topic.
    silence_s
        For how long Kafka may not answer, before it gives up.
    """

    def __init__(self, connection: Connection, partitions: int, *, silence_s: float = 120.0) -> None:
        self._silence_s = silence_s
        self._waiting: list[ReceivedMessage] = []
        self._seen: set[str] = set()
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

    async def before(self, at: int) -> list[ReceivedMessage]:
        """Messages that were decided before ``at`` and not handed out yet, in the order of their decisions.

        Which these are depends on the log alone, and not on how fast it is folded: call it when everything before
        ``at`` is folded.

        Raises
        ------
        LogUnavailable
            Kafka did not answer for ``silence_s`` seconds.
        """
        await self._read_to_end()
        # Partitions answer in any order; what a shopper does may not depend on it.
        self._waiting.sort(key=lambda message: (message.at, message.id))
        count = bisect_left(self._waiting, at, key=lambda message: message.at)
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return found

    async def _read_to_end(self) -> None:
        """Take everything that is committed now."""
        given_up = time.monotonic() + self._silence_s
        while True:
            try:
                # Too low on the embedded broker, but never before its last batch, which is read as a whole.
                ends = await self._consumer.end_offsets(self._places)
                while [place for place in self._places if await self._consumer.position(place) < ends[place]]:
                    self._take(await self._consumer.getmany(timeout_ms=_WAIT_MS))
            except (KafkaError, OSError) as error:
                if time.monotonic() > given_up:
                    raise LogUnavailable(f"the mailbox cannot be read ({error!r}); try again") from error
                logger.warning("the mailbox cannot be read now: %r", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _take(self, batches: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> None:
        for records in batches.values():
            for record in records:
                if is_notice(record.value):
                    continue
                try:
                    message = decode_message(record.value or b"")
                except msgspec.DecodeError as error:
                    logger.warning("record %d of %s is no message: %s", record.offset, record.topic, error)
                    continue
                if message.id in self._seen:
                    continue  # after a crash of the fold the embedded broker has it twice
                self._seen.add(message.id)
                self._waiting.append(
                    ReceivedMessage(
                        id=message.id,
                        user=message.user,
                        channel=message.channel,
                        at=message.at,
                        marketing=message.category == "marketing",
                    )
                )
