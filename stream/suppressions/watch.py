"""Reader of ``suppressions`` inside a process: the whole list in memory, a few milliseconds old.

It also reads transactions that are not committed (``read_uncommitted``). Otherwise a lane that stops in the middle of a
commit would hide all later entries until it is fenced. An entry of an aborted transaction is true as well, because the
lane writes it again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from models.batch import Record
from models.delivery.suppression import TOPIC
from models.delivery.suppression_list import SuppressionList
from monitoring import metrics
from stream.cluster.connection import Connection
from stream.cluster.errors import name_of
from stream.cluster.patient_fetches import IDLE_WAIT_MS
from stream.cluster.repeating import repeat
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.delivery.holds import Holds

__all__ = ["HOLD", "SuppressionWatch"]

logger = logging.getLogger(__name__)

HOLD = "suppressions"
"""Name of the reason for which delivery holds its messages."""
MAX_AGE_S = 0.75
"""Maximum age of a complete list that delivery trusts, seconds.

With an older list delivery holds its messages. So an entry takes effect within a second, even if the broker does not
answer.
"""
LOOK_AGAIN_S = 0.25
"""How long the reader waits for an answer of the broker before it checks the list's age, seconds."""
RETRY_S = 0.2
"""How long to wait after a failed reading before the next one, seconds."""
MAX_RECORDS = 2_000
"""Maximum number of records applied at a time, because the same event loop serves calls to providers."""
OPTIONS = ReadOptions(
    committed=False,
    wait_ms=50,
    idle_wait_ms=200,  # a list that was read to its end is at most twice as old, as :class:`AnswerAges` counts
    fetch_bytes=4 << 20,
    request_timeout_ms=10_000,
    retry_backoff_ms=50,
)

NOT_READ = "the suppression list is not read to its end yet"
TOO_OLD = f"the suppression list could not be read for more than {MAX_AGE_S:g} s"


class SuppressionWatch:
    """Follower of the suppression list; run :meth:`follow` in a task.

    Parameters
    ----------
    connection
        The cluster.
    listed
        The list to keep current.
    holds
        Receiver of the reason why nothing may be sent now; ``None`` in a process that sends nothing.
    clock
        Seconds of a clock that never moves back.
    is_judged
        Whether this process asks for :meth:`behind`. If not, the broker answers only when there are entries, or rarely.

    Attributes
    ----------
    listed
        The list that is kept current.
    """

    def __init__(
        self,
        connection: Connection,
        listed: SuppressionList,
        holds: Holds | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_judged: bool = True,
    ) -> None:
        self._options = OPTIONS if is_judged else replace(OPTIONS, idle_wait_ms=IDLE_WAIT_MS)
        self._look_again_s = LOOK_AGAIN_S if is_judged else IDLE_WAIT_MS / 1_000
        self.listed = listed
        self._connection = connection
        self._holds = holds
        self._clock = clock
        (self._place,) = partitions_of(connection, TOPIC, 1)
        self._position = 0
        self._as_of: float | None = None
        self._ages = AnswerAges()
        self._changed = asyncio.Condition()
        self._show()

    def __repr__(self) -> str:
        return f"SuppressionWatch({len(self.listed)} entries, {self.behind() or 'current'})"

    def behind(self) -> str:
        """Return the reason why the list cannot be trusted now; an empty text if it can be trusted."""
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
        """Wait until the list can be trusted."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.behind())

    async def read(self) -> None:
        """Wait until the list was read to its end once."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._as_of is not None)

    async def follow(self) -> None:
        """Follow the topic until cancelled; after any failure, begin again at the last position."""
        await repeat(self._consume, "the suppression list cannot be read", retry_s=RETRY_S, failed=self._failed)

    def _failed(self, error: BaseException) -> None:
        metrics.increment("suppression_watch_failures", name_of(error))
        self._show()

    async def _consume(self) -> None:
        place = self._place
        async with TopicReader(self._connection, [place], self._options) as reader:
            reader.seek(place, self._position)
            # The embedded broker lists too low an end, but the high watermark of its answers is right.
            listed = (await reader.ends())[place]
            self._ages = AnswerAges()
            while True:
                polled = self._clock()
                await reader.await_answer(self._look_again_s)
                while records := (await reader.poll(timeout_ms=0, max_records=MAX_RECORDS)).get(place, ()):
                    self._take(records)
                    await asyncio.sleep(0)
                self._position = await reader.position(place)
                as_of = self._ages.poll(reader.answered_at(place), polled)
                if as_of is not None and self._position >= max(reader.watermark(place) or 0, listed):
                    self._as_of = as_of
                await self._notify()

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                self.listed.apply(record.key or b"", record.value)
            except (ValueError, msgspec.DecodeError):  # one record must not hold all messages
                logger.exception("record %d of %s is not an entry and is skipped", record.offset, TOPIC)
                metrics.increment("suppressions_unreadable")
        if records:
            metrics.gauge("suppressions", len(self.listed))

    async def _notify(self) -> None:
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


class AnswerAges:
    """Lower bound of the time at which the broker gave its newest answer.

    aiokafka sends the next request when an answer has arrived. So an answer is not older than the arrival of the
    previous answer. So a process that was frozen for a while cannot mistake an old answer for a new one.
    """

    def __init__(self) -> None:
        self._stamp: int | None = None
        self._arrived: float | None = None
        self._as_of: float | None = None

    def __repr__(self) -> str:
        return f"AnswerAges(stamp={self._stamp}, as_of={self._as_of})"

    def poll(self, stamp: int | None, polled: float) -> float | None:
        """Return the earliest time at which the newest answer can have been requested; ``None`` while it is unknown.

        Parameters
        ----------
        stamp
            Stamp of the newest answer.
        polled
            Time at which the poll began; a new answer arrived after it.
        """
        if stamp != self._stamp:
            self._stamp = stamp
            self._as_of, self._arrived = self._arrived, polled
        return self._as_of
