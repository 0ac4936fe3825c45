"""The feeder: it writes events in their order into a log, and the ticks that move the log's clock.

The log's clock is ``feeder``: each partition's ``now`` is the newest tick in it. In its partition, each event comes
after a tick with the event's time. So nothing that the event causes has an earlier time. In addition, every
partition gets a tick when the events pass a multiple of ``tick_ms``. So timers fire between events at the times when
they are due. Before such a tick, the feeder waits for the records that logins have caused between profiles. So they are
late by less than ``tick_ms``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from models.batch import Output
from models.events import Event, encode_event
from models.log import Tick, encode_control
from models.units import DAY, HOUR
from stream.cluster.partitioner import partition_of
from stream.feed.profile_records import ProfileRecords
from stream.feed.progress import FoldProgress, await_folded
from stream.log.event_log import Appended, EventLog, LogUnavailable

__all__ = ["Feeder", "Pace"]

logger = logging.getLogger(__name__)

MAX_PENDING = 5_000
"""Maximum number of records that wait for the next write."""
MAX_PENDING_LOGINS = 50_000
"""Maximum number of records that wait for the next write after a login, until the next tick of every partition.

What a login causes is then behind all records of this time, so its place does not depend on the speed of the fold.
"""
MIN_WRITES = 4
"""Minimum number of writes while the simulated time moves on by ``lead_ms``."""
RETRY_S = 0.5
"""How long to wait after a failed write before the next attempt, seconds."""


class WrittenUntil(NamedTuple):
    """Offsets in the log after one write.

    Attributes
    ----------
    at
        Earliest simulated time of the records in the write, milliseconds.
    offsets
        Offset after the newest record, by partition.
    """

    at: int
    offsets: dict[int, int]


@dataclass(frozen=True, slots=True)
class Pace:
    """Speed of a feeder.

    Attributes
    ----------
    tick_ms
        Time between two ticks of every partition, simulated milliseconds.
    lead_ms
        Maximum time by which the feeder is ahead of the slowest fold, simulated milliseconds.
    speed
        Ratio of simulated time to wall time; ``None`` feeds as fast as the workers fold.
    silence_s
        Maximum time without a newly folded offset, or without an acknowledged write, seconds.
    """

    tick_ms: int = 600_000
    lead_ms: int = DAY
    speed: float | None = None
    silence_s: float = 120.0


class Feeder:
    """Writer of events and ticks that stays within a simulated time ahead of the slowest fold.

    Parameters
    ----------
    log
        The log to feed.
    partitions
        Number of partitions of ``events``.
    progress
        Source of the offsets up to which the log is folded.
    pace
        Speed of the feeder.
    on_write
        Called after every write with the number of events in it and the simulated time that it reached.
    profile_records
        Waits for the records between profiles; ``None`` for a log in which no one logs in.

    Attributes
    ----------
    now
        Time that the clocks of all partitions have reached, milliseconds; a single partition may be ahead of it by less
        than ``tick_ms``.
    resent
        Maximum number of events that may be in the log twice, because their write was not acknowledged.
    """

    def __init__(
        self,
        log: EventLog,
        partitions: int,
        progress: FoldProgress,
        pace: Pace = Pace(),
        on_write: Callable[[int, int], None] | None = None,
        profile_records: ProfileRecords | None = None,
    ) -> None:
        self.now: int | None = None
        self.resent = 0
        self._log = log
        self._partitions = partitions
        self._progress = progress
        self._pace = pace
        self._began: tuple[float, int] | None = None
        self._on_write = on_write
        self._profile_records = profile_records
        self._pending: list[tuple[int, bytes, bytes]] = []
        self._pending_events = 0
        self._pending_since = 0
        self._writes: deque[WrittenUntil] = deque()
        self._ends: dict[int, int] = {}
        self._clocks: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"Feeder(at {self.now}, {self._pending_events} events pending, {self._pace!r})"

    async def begin(self) -> None:
        """Name the log's clock, and wait until a worker has folded the record that names it.

        Raises
        ------
        WrongClock
            The log has live events.
        NobodyFolds
            No worker has folded that record.
        """
        await self._log.ensure_clock("feeder")
        await await_folded(self._progress, dict.fromkeys(range(self._partitions), 1), silence_s=self._pace.silence_s)

    async def feed(self, events: Iterable[Event], until: int | None = None, *, flush: bool = True) -> None:
        """Write events in their order, with the ticks between them, and then the ticks up to ``until``.

        Return when everything is acknowledged. Without ``flush``, some records may wait for the next call.
        """
        for event in events:
            if self.now is None or event.at >= self.now + self._pace.tick_ms:
                await self._pass(event.at)
            user = event.user.encode()
            partition = partition_of(user, self._partitions)
            self._tick(partition, event.at)
            self._pending.append((partition, user, encode_event(event)))
            self._pending_events += 1
            if self._profile_records is not None:
                self._profile_records.note(event, partition)
            if len(self._pending) >= (MAX_PENDING_LOGINS if self._awaits_records else MAX_PENDING):
                await self.flush()
        if until is not None and (self.now is None or until >= self.now + self._pace.tick_ms):
            await self._pass(until)
        if flush:
            await self.flush()

    async def reject(self, rejected: list[Output]) -> None:
        """Write dead letters."""
        await self._retried(lambda: self._log.write(rejected))

    async def flush(self) -> None:
        """Write the pending records, and return when they are acknowledged."""
        if not self._pending:
            return
        for place in await self._retried(lambda: self._log.write_at(self._pending)):
            if place.offset >= 0:
                self._ends[place.partition] = place.offset + 1
        assert self.now is not None
        self._writes.append(WrittenUntil(self._pending_since, dict(self._ends)))
        if self._on_write is not None:
            self._on_write(self._pending_events, self.now)
        self._pending, self._pending_events = [], 0

    async def drain(self) -> None:
        """Write the pending records, and return when everything is folded."""
        await self.flush()
        await self._await_records()
        await await_folded(self._progress, self._ends, silence_s=self._pace.silence_s)
        self._writes.clear()

    async def folded_before(self, at: int) -> None:
        """Wait until all written records with a time before ``at`` are folded; later ones may be folded too.

        Raises
        ------
        NobodyFolds
            No offset has changed for ``silence_s`` seconds.
        """
        while self._writes and self._writes[0].at < at:
            written = self._writes.popleft()
            await await_folded(self._progress, written.offsets, silence_s=self._pace.silence_s)

    async def _pass(self, at: int) -> None:
        """Move the clock to the last multiple of ``tick_ms`` that is not after ``at``."""
        target = at // self._pace.tick_ms * self._pace.tick_ms
        while self.now is None or self.now < target:
            # In a long time without events the clock moves hour by hour, so that timers fire when they are due.
            reached = target if self.now is None else min(target, self.now + max(self._pace.tick_ms, HOUR))
            waited = reached - self._pending_since
            await self._await_records()
            if self._pending and self.now is not None and waited >= self._pace.lead_ms // MIN_WRITES:
                await self.flush()
            await self.folded_before(reached - self._pace.lead_ms)
            await self._keep_pace(reached)
            if not self._pending:
                self._pending_since = reached
            for partition in range(self._partitions):
                self._tick(partition, reached)
            self.now = reached

    @property
    def _awaits_records(self) -> bool:
        return self._profile_records is not None and self._profile_records.is_waiting

    async def _await_records(self) -> None:
        """Wait until the log has the records that follow from logins, so that the clock does not pass them."""
        if self._profile_records is not None and self._profile_records.is_waiting:
            await self.flush()
            await self._profile_records.arrive(self._ends)

    def _tick(self, partition: int, at: int) -> None:
        """Move the clock of a partition to ``at``, if it is not there yet."""
        if at > self._clocks.get(partition, -1):
            self._clocks[partition] = at
            self._pending.append((partition, *encode_control(Tick(at=at))))

    async def _keep_pace(self, at: int) -> None:
        """Wait until the wall clock, multiplied by ``speed``, has reached ``at``."""
        if self._pace.speed is None:
            return
        if self._began is None:
            self._began = (time.monotonic(), at)
        wait = self._began[0] + (at - self._began[1]) / 1000 / self._pace.speed - time.monotonic()
        if wait > 0:
            await self.flush()
            await asyncio.sleep(wait)

    async def _retried(self, write: Callable[[], Awaitable[list[Appended]]]) -> list[Appended]:
        """Repeat a write until it is acknowledged.

        Repeats are harmless: ticks may repeat, and the fold drops a repeated event because it knows the id.
        """
        give_up_at = time.monotonic() + self._pace.silence_s
        while True:
            try:
                return await write()
            except LogUnavailable as error:
                if time.monotonic() > give_up_at:
                    raise
                self.resent += self._pending_events
                logger.warning("%s", error)
                await asyncio.sleep(RETRY_S)
