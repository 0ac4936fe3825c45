"""Mailboxes of the simulated shoppers: the messages that the fold has committed."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

import msgspec

from models.batch import Record
from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.events import CHANNELS
from models.storefront.storefront import ReceivedMessage
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import LogUnavailable

__all__ = ["Mailbox"]

logger = logging.getLogger(__name__)

RETRY_S = 0.5
"""How long to wait after a failed reading before the next one, seconds."""


class Mailbox:
    """Reader of every ``messages.<channel>`` from its beginning; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of each channel's topic.
    silence_s
        How long to wait for an answer of Kafka, seconds.
    """

    def __init__(self, connection: Connection, partitions: int, *, silence_s: float = 120.0) -> None:
        self._silence_s = silence_s
        self._waiting: list[ReceivedMessage] = []
        self._seen: set[str] = set()
        topics = (f"messages.{channel}" for channel in CHANNELS)
        self._reader = TopicReader(
            connection, [place for topic in topics for place in partitions_of(connection, topic, partitions)]
        )

    def __repr__(self) -> str:
        return f"Mailbox({len(self._waiting)} messages waiting, {len(self._seen)} seen)"

    async def __aenter__(self) -> Self:
        await self._reader.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._reader.stop()

    async def before(self, at: int) -> list[ReceivedMessage]:
        """Return the messages that were decided before ``at`` and not returned yet, in the order of their decisions.

        If everything before ``at`` is folded, the result depends only on the log, and not on the speed of the fold.

        Raises
        ------
        LogUnavailable
            Kafka gave no answer for ``silence_s`` seconds.
        """
        await self._read_to_end()
        # Partitions answer in any order, and a shopper's behaviour must not depend on that order.
        self._waiting.sort(key=lambda message: (message.at, message.id))
        count = bisect_left(self._waiting, at, key=lambda message: message.at)
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return found

    async def _read_to_end(self) -> None:
        """Read everything that is committed now."""
        give_up_at = time.monotonic() + self._silence_s
        while True:
            try:
                async with aclosing(self._reader.read_to_end(silence_s=self._silence_s)) as batches:
                    async for place, records in batches:
                        self._take(place.topic, records)
            except BrokerUnavailable as error:
                if time.monotonic() > give_up_at:
                    raise LogUnavailable(f"the mailbox cannot be read ({error!r}); try again") from error
                logger.warning("the mailbox cannot be read now: %r", error)
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _take(self, topic: str, records: Sequence[Record]) -> None:
        for record in records:
            if is_notice(record.value):
                continue
            try:
                message = decode_message(record.value or b"")
            except msgspec.DecodeError as error:
                logger.warning("record %d of %s is not a message: %s", record.offset, topic, error)
                continue
            if message.id in self._seen:
                continue  # after a crash of the fold the embedded broker has the message twice
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
