"""Putting the settings file's configuration into use: read it, check it, and publish it in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from models.configuration.compiled import Configuration, decode
from models.configuration.levels import require_expressible
from models.fold.conditions_in_use import AskedConditions
from models.levels import require_known
from stream.cluster.connection import Connection
from stream.log.event_log import ClockName, EventLog, WrongClock
from stream.log.levels import level_in_use
from stream.log.versions import Applied, newest_use, publish, read_uses
from stream.rebuild.history import History, HistoryListener
from stream.settings.loading import Settings
from stream.settings.rules import read_configuration, require_rendering


class HistoryWatch(HistoryListener, Protocol):
    """Receiver of the progress of bringing the history of clauses, and of its results.

    ``counted`` gets the number of members of each segment, and of all users. ``brought`` gets the number of records
    with the memory of a user.
    """

    def counted(self, members: Mapping[str, int], users: int) -> None:
        """Show the numbers before the configuration is put into use."""

    def brought(self, records: int) -> None:
        """Show the number of records after the history is in the log."""


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
    return asyncio.run(_apply(settings, read_wanted(settings), clock))


async def _apply(settings: Settings, wanted: Configuration, clock: ClockName) -> Applied:
    connection = settings.connection()
    async with EventLog(connection, settings.partitions) as log:
        await _ensure_clock(log, clock)
    return await publish_in_use(connection, settings.partitions, wanted)


async def _ensure_clock(log: EventLog, clock: ClockName) -> None:
    try:
        await log.ensure_clock(clock)
    except WrongClock as error:
        if (clock, error.found) != ("wall", "feeder"):
            raise


async def apply_with_history(
    settings: Settings, wanted: Configuration, clock: ClockName, clauses: frozenset[int], watch: HistoryWatch
) -> Applied:
    """Put a configuration into use, and bring the history of its new clauses from the log.

    Parameters
    ----------
    settings, wanted
        The settings, and the configuration that :func:`read_wanted` has read from their file.
    clock
        See :func:`apply`.
    clauses
        Numbers of the clauses that are new, see :func:`new_clauses`.
    watch
        Receiver of the progress and of the numbers of members.

    Raises
    ------
    WrongClock, InvalidConfiguration, UnknownLevel
        See :func:`apply`.
    BrokerUnavailable, LogUnavailable
        Kafka failed. What was applied stays in use; new clauses may stay unknown until the command has run again.
    """
    connection, partitions = settings.connection(), settings.partitions
    history = History(connection, partitions, _asked(wanted), clauses, wanted.events.horizon, watch)
    async with EventLog(connection, partitions) as log:
        await _ensure_clock(log, clock)
        require_expressible(wanted, await level_in_use(connection, partitions))
        await history.fold()
        if history.users:
            watch.counted(history.members(), history.users)
        announced = [history.announcement] if history.users else []
        applied = await publish_in_use(connection, partitions, wanted, announced)
        if history.users:
            watch.brought(await history.bring(log))
    return applied


def read_wanted(settings: Settings) -> Configuration:
    """Read the configuration of a settings file, and check that its templates can be rendered."""
    wanted = read_configuration(settings)
    require_rendering(settings, wanted)
    return wanted


async def new_clauses(connection: Connection, wanted: Configuration) -> frozenset[int]:
    """Return the numbers of the clauses on events that the configuration in use does not have.

    They belong to segments by rule, and to moves of the lifecycle.
    """
    newest = newest_use(await read_uses(connection))
    known = frozenset[int]() if newest is None else _asked(decode(bytes(newest.content))).event_clauses
    return _asked(wanted).event_clauses - known


def _asked(configuration: Configuration) -> AskedConditions:
    return AskedConditions(configuration.segments, configuration.lifecycle)


async def publish_in_use(
    connection: Connection, partitions: int, wanted: Configuration, then: Sequence[tuple[bytes, bytes]] = ()
) -> Applied:
    """Publish a configuration in the format level of the log, and the control records that follow it.

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
    return await publish(connection, wanted, then)
