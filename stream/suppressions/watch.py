"""Reader of ``suppressions`` inside a process: the whole list in memory, a few milliseconds old.

It also reads transactions that are not committed (``read_uncommitted``). A lane that is frozen in the middle of a
commit would otherwise hide all later entries until it is fenced. What an aborted transaction says about an address is
true as well: the lane writes it once more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.delivery.suppression import TOPIC, SuppressionList
from monitoring import metrics
from stream.cluster import lean_records
from stream.cluster.connection import Connection
from stream.cluster.repeating import repeat
from stream.delivery.holds import Holds

log = logging.getLogger(__name__)

HOLD = "suppressions"
"""Name of the reason for which delivery holds its messages."""
FETCH_WAIT_MS = 50
"""How long a broker may keep a fetch that finds nothing; one that finds something is answered at once."""
LOOK_EVERY_MS = 50
MAX_AGE_S = 0.75
"""A list that was complete longer ago is not trusted: delivery holds its messages, so that an entry acts within a
second also where its broker does not answer."""
RETRY_S = 0.2
MAX_RECORDS = 2_000
"""Records that are taken in at a time: the loop also serves calls of providers."""
FETCH_BYTES = 4 << 20

NOT_READ = "the suppression list is not read to its end yet"
TOO_OLD = f"the suppression list could not be read for more than {MAX_AGE_S:g} s"


class SuppressionWatch:
    """Keeps a list current; run :meth:`follow` in a task.

    Parameters
    ----------
    connection
        The cluster.
    listed
        The list that it keeps current.
    holds
        Get a reason while nothing may be sent; ``None`` in a process that sends nothing.
    clock
        Seconds of a clock that never moves back.

    Attributes
    ----------
    listed
        See there.
    """

    def __init__(
        self,
        connection: Connection,
        listed: SuppressionList,
        holds: Holds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.listed = listed
        self._connection = connection
        self._holds = holds
        self._clock = clock
        self._place = TopicPartition(connection.topic(TOPIC), 0)
        self._position = 0
        self._as_of: float | None = None
        self._answers = _Answers()
        self._changed = asyncio.Condition()
        self._show()

    def behind(self) -> str:
        """Say why the list cannot be trusted now; nothing where it can."""
        if self._as_of is None:
            return NOT_READ
        if self.listed.hashes.missing:
            return f"the suppression list cannot be used: {self.listed.hashes.missing}"
        if self.listed.unknown:
            ids = ", ".join(f"{name}: {count} entries" for name, count in sorted(self.listed.unknown.items()))
            return (
                f"entries of the suppression list were made with a secret that is not in delivery.suppression_secrets "
                f"({ids}); add that secret there"
            )
        return TOO_OLD if self._clock() - self._as_of > MAX_AGE_S else ""

    async def current(self) -> None:
        """Return when the list can be trusted."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.behind())

    async def read(self) -> None:
        """Return when the list was read to its end once."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._as_of is not None)

    async def follow(self) -> None:
        """Follow the topic until cancelled; whatever fails is tried again."""
        await repeat(self._consume, "the suppression list cannot be read", retry_s=RETRY_S, failed=self._failed)

    def _failed(self, error: BaseException) -> None:
        metrics.increment("suppression_watch_failures", type(error).__name__)
        self._show()

    async def _consume(self) -> None:
        lean_records.install()
        consumer = AIOKafkaConsumer(
            **self._connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_uncommitted",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            request_timeout_ms=10_000,
            retry_backoff_ms=50,
            key_deserializer=lean_records.as_they_are,
        )
        place = self._place
        try:
            await consumer.start()
            await asyncio.sleep(0)  # aiokafka's own tasks begin: stopping one that never did raises
            consumer.assign([place])
            consumer.seek(place, self._position)
            # The embedded broker lists too low an end; the high watermark of its answers is right.
            listed = (await consumer.end_offsets([place]))[place]
            self._answers = _Answers()
            while True:
                looked = self._clock()
                batches = await consumer.getmany(place, timeout_ms=LOOK_EVERY_MS, max_records=MAX_RECORDS)
                self._take(batches.get(place, ()))
                self._position = await consumer.position(place)
                as_of = self._answers.look(consumer.last_poll_timestamp(place), looked)
                if as_of is not None and self._position >= max(consumer.highwater(place) or 0, listed):
                    self._as_of = as_of
                await self._tell()
        finally:
            await consumer.stop()

    def _take(self, records: Sequence[Any]) -> None:
        for record in records:
            try:
                self.listed.apply(record.key or b"", record.value)
            except (ValueError, msgspec.DecodeError):  # one record must not hold all messages
                log.exception("record %d of %s is no entry and is passed over", record.offset, TOPIC)
                metrics.increment("suppressions_unreadable")
        if records:
            metrics.gauge("suppressions", len(self.listed))

    async def _tell(self) -> None:
        self._show()
        async with self._changed:
            self._changed.notify_all()

    def _show(self) -> None:
        if self._holds is None:
            return
        behind = self.behind()
        if behind:
            self._holds.set(HOLD, behind)
        else:
            self._holds.clear(HOLD)


class _Answers:
    """Says as of when the newest answer of the broker is at least.

    The request for an answer is sent when the one before has arrived. So what an answer shows is as new as the arrival
    of the one before; a process that was frozen cannot take an old answer for a new one.
    """

    def __init__(self) -> None:
        self._stamp: int | None = None
        self._arrived: float | None = None
        self._as_of: float | None = None

    def look(self, stamp: int | None, looked: float) -> float | None:
        """Return when the newest answer was asked for at the earliest; ``None`` while that is not known.

        Parameters
        ----------
        stamp
            Of the newest answer.
        looked
            When the look before this one ended: what is new has arrived since.
        """
        if stamp != self._stamp:
            self._stamp = stamp
            self._as_of, self._arrived = self._arrived, looked
        return self._as_of
