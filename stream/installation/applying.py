"""Putting the settings file's configuration into use: read it, check it, and publish it in the log."""

from __future__ import annotations

import asyncio

from models.configuration.compiled import Configuration
from models.configuration.levels import require_expressible
from models.levels import require_known
from stream.cluster.connection import Connection
from stream.log.event_log import ClockName, EventLog, WrongClock
from stream.log.levels import level_in_use
from stream.log.versions import Applied, publish
from stream.settings.loading import Settings
from stream.settings.rules import read_configuration, require_rendering


def apply(settings: Settings, clock: ClockName = "wall") -> Applied:
    """Read the configuration of a settings file and put it into use.

    Parameters
    ----------
    settings
        The settings of that file.
    clock
        Clock of the log, if the log is still empty. ``wall`` leaves a log with a feeder's clock as it is.

    Raises
    ------
    WrongClock
        ``feeder`` was asked for, but the log has live events.
    TemplatesFail
        A template cannot be rendered for every kind of user.
    InvalidSettings
        The configuration has a mistake.
    InvalidConfiguration
        The format level of the log cannot express the configuration.
    UnknownLevel
        The log has a format level that this code does not know.
    """
    wanted = read_configuration(settings)
    require_rendering(settings, wanted)
    return asyncio.run(_apply(settings, wanted, clock))


async def _apply(settings: Settings, wanted: Configuration, clock: ClockName) -> Applied:
    connection = settings.connection()
    async with EventLog(connection, settings.partitions) as log:
        try:
            await log.ensure_clock(clock)
        except WrongClock as error:
            if (clock, error.found) != ("wall", "feeder"):
                raise
    return await publish_in_use(connection, settings.partitions, wanted)


async def publish_in_use(connection: Connection, partitions: int, wanted: Configuration) -> Applied:
    """Publish a configuration in the format level of the log.

    Raises
    ------
    InvalidConfiguration
        Only a higher level can express it.
    UnknownLevel
        The log has a level that this code does not know.
    """
    level = await level_in_use(connection, partitions)
    require_known("the log", level)
    require_expressible(wanted, level)
    return await publish(connection, wanted)
