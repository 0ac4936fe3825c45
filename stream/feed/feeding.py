"""Everything that a replay and a simulation need open while they feed a log that nobody has fed before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stream.feed.feeder import Feeder
from stream.feed.progress import GroupProgress, require_unfed
from stream.log.event_log import EventLog
from stream.settings.loading import Settings


@asynccontextmanager
async def feeding(
    settings: Settings,
    *,
    on_write: Callable[[int, int], None],
    speed: float | None = None,
    tick_ms: int = 600_000,
) -> AsyncIterator[Feeder]:
    """Open a feeder on an installation's log, which a worker folds already.

    Parameters
    ----------
    settings
        Of the installation.
    on_write, speed, tick_ms
        As of :class:`Feeder`.

    Raises
    ------
    WrongClock
        The log has live events.
    AlreadyFed
        Something was fed into it before.
    NobodyFolds
        No worker folds it.
    """
    connection, partitions = settings.connection(), settings.partitions
    async with EventLog(connection, partitions) as log, GroupProgress(connection, partitions) as progress:
        feeder = Feeder(log, partitions, progress, tick_ms=tick_ms, speed=speed, on_write=on_write)
        await log.ensure_clock("feeder")
        await require_unfed(connection, partitions)
        await feeder.begin()
        yield feeder
