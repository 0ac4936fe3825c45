"""The configuration that is in use in the log, for a process that does not fold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from models.batch import Record
from models.configuration.compiled import Configuration, decode
from models.learning.publication import TOPIC
from models.log import Use, decode_control
from stream.cluster.connection import Connection
from stream.cluster.patient_fetches import IDLE_WAIT_MS
from stream.cluster.repeating import repeat
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.log.versions import NAME

logger = logging.getLogger(__name__)

RETRY_S = 1.0
"""How long to wait before the topic is read again after a failure, seconds."""


class ConfigurationWatch:
    """The newest configuration; run :meth:`follow` in a task to keep it current.

    Parameters
    ----------
    connection
        The cluster.
    retry_s
        How long to wait before the topic is read again after a failure, seconds.

    Attributes
    ----------
    configuration
        The configuration in use; ``None`` while it is not known, or if this code cannot read it.
    """

    def __init__(self, connection: Connection, retry_s: float = RETRY_S) -> None:
        self.configuration: Configuration | None = None
        self._connection = connection
        self._retry_s = retry_s
        (self._place,) = partitions_of(connection, TOPIC, 1)
        self._position = 0
        self._version = 0
        self._newest: Configuration | None = Configuration()
        self._changed = asyncio.Condition()

    def __repr__(self) -> str:
        known = "unknown" if self.configuration is None else f"version {self._version}"
        return f"<ConfigurationWatch {known}, position {self._position}>"

    async def current(self, version: int = 0) -> Configuration | None:
        """Wait until the topic was read to its end and contained at least ``version``; return the configuration."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.configuration is not None and self._version >= version)
        return self.configuration

    async def follow(self) -> None:
        """Follow the topic until cancelled; repeat after any failure."""
        await repeat(self._consume, "the configuration in use cannot be read", retry_s=self._retry_s)

    async def _consume(self) -> None:
        place = self._place
        async with TopicReader(self._connection, [place], ReadOptions(idle_wait_ms=IDLE_WAIT_MS)) as reader:
            reader.seek(place, self._position)
            while True:
                self._take((await reader.poll()).get(place, ()))
                self._position = await reader.position(place)
                end = reader.watermark(place)
                if end is not None and self._position >= end:
                    await self._publish()

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.key != NAME.encode() or record.value is None:
                continue
            try:
                use = decode_control(record.value)
                if not isinstance(use, Use) or use.version <= self._version:
                    continue  # the first record of a version counts
                self._version, self._newest = use.version, None
                self._newest = decode(use.content)
            except msgspec.DecodeError as error:
                logger.warning("record %d of %s is of another release: %s", record.offset, TOPIC, error)

    async def _publish(self) -> None:
        if self.configuration is self._newest:
            return
        async with self._changed:
            self.configuration = self._newest
            self._changed.notify_all()
