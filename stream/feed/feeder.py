"""Feeds a log by hand: events in order, and the clock that goes with them.

The log's clock is ``feeder``: each partition's ``now`` is the newest tick in it. An event stands behind a tick of its
own time in its partition, so nothing that it causes is dated before it. And a tick goes to every partition whenever the
events pass a multiple of ``tick_ms``: timers fire between events as they would have in life, wherever nothing happens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from models.batch import Output
from models.events import Event, encode_event
from models.log import Tick, encode_control
from stream.cluster.partitioner import partition_of
from stream.feed.progress import Progress, await_folded
from stream.log.event_log import Appended, EventLog, LogUnavailable

logger = logging.getLogger(__name__)

DAY_MS = 86_400_000
CHUNK = 5_000
"""Records of one write, at most."""

HOUR_MS = 3_600_000
_WRITES = 4
"""So many writes, at least, to a stretch of simulated time as long as the lead."""
_RETRY_S = 0.5
_partition_of = lru_cache(maxsize=1 << 17)(partition_of)


class Mark(NamedTuple):
    """What one write brought, from ``at`` on, lies before these offsets."""

    at: int
    offsets: dict[int, int]


class Feeder:
    """Writes events and ticks, never more than a stretch of simulated time ahead of the slowest fold.

    Parameters
    ----------
    log
        Where.
    partitions
        Of ``events``.
    progress
        How far it is folded.
    tick_ms
        Between two ticks.
    lead_ms
        How far it may be ahead of the slowest fold, simulated milliseconds.
    silence_s
        For how long nothing may be folded, or acknowledged, before it gives up.
    speed
        Simulated time by wall time; ``None``: as fast as it is folded.
    on_write
        Called after every write with the number of events in it and the simulated time it reached.
    """

    def __init__(
        self,
        log: EventLog,
        partitions: int,
        progress: Progress,
        *,
        tick_ms: int = 600_000,
        lead_ms: int = DAY_MS,
        silence_s: float = 120.0,
        speed: float | None = None,
        on_write: Callable[[int, int], None] | None = None,
    ) -> None:
        self._log = log
        self._partitions = partitions
        self._progress = progress
        self._tick_ms = tick_ms
        self._lead_ms = lead_ms
        self._silence_s = silence_s
        self._speed = speed
        self._began: tuple[float, int] | None = None
        self._on_write = on_write
        self._pending: list[tuple[int, bytes, bytes]] = []
        self._pending_events = 0
        self._pending_since = 0
        self._marks: deque[Mark] = deque()
        self._ends: dict[int, int] = {}
        self._clocks: dict[int, int] = {}
        self.now: int | None = None
        """The newest tick in every partition, milliseconds; each may be further by less than ``tick_ms``."""
        self.resent = 0
        """Maximum number of events that may stand in the log twice, because their write was not acknowledged."""

    async def begin(self) -> None:
        """Name the log's clock, and wait until a worker has folded that.

        Raises
        ------
        WrongClock
            The log has live events.
        NobodyFolds
            No worker showed up.
        """
        await self._log.ensure_clock("feeder")
        await await_folded(self._progress, dict.fromkeys(range(self._partitions), 1), silence_s=self._silence_s)

    async def feed(self, events: Iterable[Event], until: int | None = None, *, flush: bool = True) -> None:
        """Write events, in the order given, with the ticks that they pass; then the ticks up to ``until``.

        Returns when everything is acknowledged; without ``flush``, some may wait for the next call.
        """
        for event in events:
            if self.now is None or event.at >= self.now + self._tick_ms:
                await self._pass(event.at)
            user = event.user.encode()
            partition = _partition_of(user, self._partitions)
            self._tick(partition, event.at)
            self._pending.append((partition, user, encode_event(event)))
            self._pending_events += 1
            if len(self._pending) >= CHUNK:
                await self.flush()
        if until is not None and (self.now is None or until >= self.now + self._tick_ms):
            await self._pass(until)
        if flush:
            await self.flush()

    async def reject(self, rejected: list[Output]) -> None:
        """Write dead letters."""
        await self._retried(lambda: self._log.write(rejected))

    async def flush(self) -> None:
        """Write what is pending, and return when it is acknowledged."""
        if not self._pending:
            return
        for place in await self._retried(lambda: self._log.write_at(self._pending)):
            if place.offset >= 0:
                self._ends[place.partition] = place.offset + 1
        assert self.now is not None
        self._marks.append(Mark(self._pending_since, dict(self._ends)))
        if self._on_write is not None:
            self._on_write(self._pending_events, self.now)
        self._pending, self._pending_events = [], 0

    async def settle(self) -> None:
        """Write what is pending, and return when all of it is folded."""
        await self.flush()
        await await_folded(self._progress, self._ends, silence_s=self._silence_s)
        self._marks.clear()

    async def folded_before(self, at: int) -> None:
        """Return when all that was written is folded whose time lies before ``at``, and maybe more.

        Raises
        ------
        NobodyFolds
            Nothing moves.
        """
        while self._marks and self._marks[0].at < at:
            mark = self._marks.popleft()
            await await_folded(self._progress, mark.offsets, silence_s=self._silence_s)

    async def _pass(self, at: int) -> None:
        """Let the clock go on to the newest multiple of the tick that is not behind ``at``."""
        target = at // self._tick_ms * self._tick_ms
        while self.now is None or self.now < target:
            # Where nothing happens for long, the clock still goes on hour by hour: timers fire when they are due.
            reached = target if self.now is None else min(target, self.now + max(self._tick_ms, HOUR_MS))
            if self._pending and self.now is not None and reached - self._pending_since >= self._lead_ms // _WRITES:
                await self.flush()
            await self.folded_before(reached - self._lead_ms)
            await self._keep_pace(reached)
            if not self._pending:
                self._pending_since = reached
            for partition in range(self._partitions):
                self._tick(partition, reached)
            self.now = reached

    def _tick(self, partition: int, at: int) -> None:
        """Let the clock of a partition go on to ``at``, where it is not there yet."""
        if at > self._clocks.get(partition, -1):
            self._clocks[partition] = at
            self._pending.append((partition, *encode_control(Tick(at=at))))

    async def _keep_pace(self, at: int) -> None:
        """Wait until the wall clock, sped up, has come to ``at``."""
        if self._speed is None:
            return
        if self._began is None:
            self._began = (time.monotonic(), at)
        wait = self._began[0] + (at - self._began[1]) / 1000 / self._speed - time.monotonic()
        if wait > 0:
            await self.flush()
            await asyncio.sleep(wait)

    async def _retried(self, write: Callable[[], Awaitable[list[Appended]]]) -> list[Appended]:
        """Write until it is acknowledged; what was written before stays, and its repeat does not matter.

        Ticks may repeat, and events are dropped by their ids.
        """
        given_up = time.monotonic() + self._silence_s
        while True:
            try:
                return await write()
            except LogUnavailable as error:
                if time.monotonic() > given_up:
                    raise
                self.resent += self._pending_events
                logger.warning("%s", error)
                await asyncio.sleep(_RETRY_S)
