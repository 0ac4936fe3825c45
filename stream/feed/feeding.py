"""The open feeder of a log that no program has fed before, for a replay or a simulation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stream.feed.feeder import Feeder, Pace
from stream.feed.profile_records import ProfileRecords
from stream.feed.progress import GroupProgress, require_unfed
from stream.log.event_log import EventLog
from stream.settings.loading import Settings


@asynccontextmanager
async def feeding(
    settings: Settings,
    pace: Pace,
    on_write: Callable[[int, int], None],
) -> AsyncIterator[Feeder]:
    """Open a feeder on an installation's log, which a worker already folds.

    Parameters
    ----------
    settings
        Settings of the installation.
    pace, on_write
        See :class:`Feeder`.

    Raises
    ------
    WrongClock
        The log has live events.
    AlreadyFed
        The log contains earlier events.
    NobodyFolds
        No worker folds the log.
    """
    connection, partitions = settings.connection(), settings.partitions
    async with (
        EventLog(connection, partitions) as log,
        GroupProgress(connection, partitions) as progress,
        ProfileRecords(connection, partitions, progress, silence_s=pace.silence_s) as profile_records,
    ):
        feeder = Feeder(log, partitions, progress, pace, on_write, profile_records)
        await log.ensure_clock("feeder")
        await require_unfed(connection, partitions)
        await feeder.begin()
        yield feeder
