"""The wait of a feeder for the records that its logins cause between profiles.

In a live log, such a record follows its cause within a second. A feeder is up to a simulated day ahead of the fold. If
it did not wait, these records would come a day late in the log's time.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from types import TracebackType
from typing import Self

from models.batch import Record
from models.events import Event, decode_event
from models.log import EVENTS, is_control
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.feed.expected_records import ExpectedRecord, ExpectedRecords, record_of
from stream.feed.progress import FoldProgress, NobodyFolds
from stream.log.event_log import LogUnavailable

__all__ = ["ProfileRecords"]

OUTCOMES = "outcomes"
CHECK_AFTER_S = 0.2
"""How long to wait for an arrival before the feeder checks which records will never come, seconds."""
POLL_MS = 50
"""How long one poll waits for records, milliseconds."""

_IDENTITY = b'"identity":'


class ProfileRecords:
    """Reader of the log that waits until the expected records between profiles are in it; use it with ``async with``.

    It connects to Kafka when it waits for the first time, so a feeder without logins pays nothing.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of ``events``.
    progress
        Source of the offsets up to which the log is folded.
    silence_s
        Maximum time without an arrival or a newly folded offset, seconds.
    """

    def __init__(
        self, connection: Connection, partitions: int, progress: FoldProgress, *, silence_s: float = 120.0
    ) -> None:
        self._expected = ExpectedRecords()
        self._progress = progress
        self._silence_s = silence_s
        self._log = TopicReader(connection, partitions_of(connection, EVENTS, partitions))
        # A record of an open transaction has been written, too.
        self._outcomes = TopicReader(
            connection, partitions_of(connection, OUTCOMES, partitions), ReadOptions(committed=False)
        )
        self._is_open = self._reads_outcomes = False
        self._written: set[ExpectedRecord] = set()

    def __repr__(self) -> str:
        return f"ProfileRecords({self._expected!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._log.stop()
        await self._outcomes.stop()

    @property
    def is_waiting(self) -> bool:
        """Whether a record is expected that has not arrived."""
        return len(self._expected) > 0

    def note(self, event: Event, partition: int) -> None:
        """Expect what follows from an event that is fed into a partition."""
        self._expected.note(event, partition)

    async def arrive(self, fed: dict[int, int]) -> None:
        """Wait until every expected record is in the log, except those that will never come.

        Parameters
        ----------
        fed
            Offset after the last record that was fed, by partition. The offset after each arrived record is added.

        Raises
        ------
        NobodyFolds
            Nothing has arrived, and no offset has changed, for ``silence_s`` seconds.
        LogUnavailable
            Kafka does not answer.
        """
        causes = dict(fed)
        folded: dict[int, int] = {}
        moved_at = checked_at = time.monotonic()
        try:
            await self._begin_reading()
            while self.is_waiting:
                if await self._read(fed):
                    moved_at = checked_at = time.monotonic()
                elif time.monotonic() - checked_at > CHECK_AFTER_S:
                    before, folded = folded, dict(await self._progress.committed())
                    checked_at = time.monotonic()
                    moved_at = checked_at if folded != before else moved_at
                    await self._give_up(folded, causes)
                if time.monotonic() - moved_at > self._silence_s:
                    raise NobodyFolds(f"nothing was folded for {self._silence_s:g} s; is `perennial worker` running?")
            self._log.pause()  # otherwise every write to the log would be a fetch
        except BrokerUnavailable as error:
            raise LogUnavailable(f"the log cannot be read ({error!r}); try again") from error

    async def _begin_reading(self) -> None:
        if self._is_open:
            self._log.resume()
        else:
            await self._log.start()
            self._is_open = True

    async def _read(self, fed: dict[int, int]) -> bool:
        """Read new records of the log, and return whether one of them was expected."""
        before = len(self._expected)
        for place, records in (await self._log.poll(timeout_ms=POLL_MS)).items():
            for record in records:
                found = _between_profiles(record)
                if found is not None:
                    self._expected.arrived(found, place.partition, record.offset)
                    fed[place.partition] = max(fed.get(place.partition, 0), record.offset + 1)
        return len(self._expected) < before

    async def _give_up(self, folded: dict[int, int], fed: dict[int, int]) -> None:
        """Stop waiting for the records that the fold has not written although it has folded their causes."""
        unanswered = self._expected.unanswered(folded, fed)
        if not unanswered:
            return
        if not self._reads_outcomes:
            await self._outcomes.start()
            self._reads_outcomes = True
        async with aclosing(self._outcomes.read_to_end(silence_s=self._silence_s)) as batches:
            async for _, records in batches:
                self._written.update(found for one in records if (found := _between_profiles(one)) is not None)
        self._expected.give_up(unanswered, self._written)


def _between_profiles(record: Record) -> ExpectedRecord | None:
    """Return which record between two profiles a record is; ``None`` if it is none."""
    value = record.value
    if value is None or _IDENTITY not in value or is_control(record.key):
        return None
    return record_of(decode_event(value))
