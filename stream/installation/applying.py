"""Putting the settings file's configuration into use: read it, check it, and publish it in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from models.configuration.compiled import Configuration, decode
from models.configuration.levels import require_expressible
from models.errors import PerennialError
from models.fold.prospects import MAX_DIFFERENCE, ConditionsPlan, ProspectiveCounts, differences
from models.levels import require_known
from models.log import EVENTS, FROM_NOW, HistoryComplete, encode_control
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import ClockName, EventLog, WrongClock
from stream.log.levels import level_in_use
from stream.log.pending_history import note_pending, read_pending
from stream.log.versions import Applied, newest_use, publish, read_uses
from stream.rebuild.history import History, HistoryListener
from stream.settings.loading import Settings
from stream.settings.rules import read_configuration, require_rendering


class HistoryWatch(HistoryListener, Protocol):
    """Receiver of the progress of reading the log, and of its results.

    ``counted`` gets the numbers of users as they will be. ``brought`` gets the number of records with the memory of a
    user.
    """

    def counted(self, counts: ProspectiveCounts) -> None:
        """Show the numbers before the configuration is put into use."""

    def brought(self, records: int) -> None:
        """Show the number of records after the history is in the log."""


class ApplyOptions(NamedTuple):
    """Options of putting a configuration into use.

    Attributes
    ----------
    clock
        Clock of the log, if the log is still empty. ``wall`` leaves a log with a feeder's clock as it is.
    reads_log
        Whether new clauses get their history from the log. Otherwise they see events from now on.
    may_enter
        Whether users may enter new segments with a signal, if ``on_apply: enter`` asks for it, and journeys whose
        segment they are in already, if ``existing: enter`` does.
    orders
        Control records that follow the configuration in every partition: orders about runs under way.
    """

    clock: ClockName = "wall"
    reads_log: bool = True
    may_enter: bool = False
    orders: Sequence[tuple[bytes, bytes]] = ()


class EntriesNotAccepted(PerennialError):
    """Users would enter segments or journeys, and no one has accepted that: look at the numbers, then accept them."""


class NumbersDiffer(PerennialError):
    """The numbers of users have changed since they were shown: look at the new ones, and run the command again."""


def apply(settings: Settings, clock: ClockName = "wall") -> Applied:
    """Read the configuration of a settings file and put it into use, without the history of new clauses.

    Parameters
    ----------
    settings
        The settings of that file.
    clock
        See :class:`ApplyOptions`.

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
    EntriesNotAccepted
        Users would enter segments with a signal.
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


async def apply_plan(settings: Settings, plan: ConditionsPlan, options: ApplyOptions, watch: HistoryWatch) -> Applied:
    """Put a configuration into use; if it has new clauses or users enter segments, read the log before.

    Parameters
    ----------
    settings
        The settings.
    plan
        The change, as :func:`read_plan` has read it.
    options
        Options.
    watch
        Receiver of the progress and of the numbers of users.

    Raises
    ------
    EntriesNotAccepted
        Users would enter segments with a signal. Nothing was applied.
    NumbersDiffer
        The numbers have changed meanwhile. The configuration is in use, and its new clauses are unknown, so no user has
        entered or left by them.
    WrongClock, InvalidConfiguration, UnknownLevel
        See :func:`apply`.
    BrokerUnavailable, LogUnavailable
        Kafka failed. What was applied stays in use; new clauses may stay unknown until the command has run again.
    """
    connection, partitions, wanted = settings.connection(), settings.partitions, plan.wanted
    brings = options.reads_log and bool(plan.clauses)
    async with EventLog(connection, partitions) as log:
        await _ensure_clock(log, options.clock)
        await _require_expressible(connection, partitions, wanted)
        if not brings and not plan.entering and not plan.taking:
            applied = await publish(connection, wanted, options.orders)
            await _release(connection, log, plan)
            return applied
        history = History(connection, partitions, plan, watch)
        await history.fold()
        counts = history.counts(is_brought=brings)
        if counts.users:
            watch.counted(counts)
            _require_accepted(plan, counts, may_enter=options.may_enter)
        if not brings or not counts.users:
            applied = await publish(connection, wanted, options.orders)
            await _release(connection, log, plan)
            return applied
        await note_pending(connection, plan.clauses)
        applied = await publish(connection, wanted, [history.announcement, *options.orders])
        watch.brought(await history.bring(log))
        _require_alike(plan, counts, history.counts(is_brought=True))
        await history.complete(log)
        await note_pending(connection, ())
    return applied


async def _release(connection: Connection, log: EventLog, plan: ConditionsPlan) -> None:
    """Let clauses that wait for their history see events from now on."""
    if plan.pending:
        await log.broadcast(*encode_control(HistoryComplete(tuple(sorted(plan.pending)), FROM_NOW)))
        await note_pending(connection, ())


def _require_accepted(plan: ConditionsPlan, counts: ProspectiveCounts, *, may_enter: bool) -> None:
    if may_enter:
        return
    reached = {name: number for name, number in counts.entering.items() if number}
    if reached:
        shown = ", ".join(f"{number:,} into {name}" for name, number in sorted(reached.items()))
        raise EntriesNotAccepted(
            f"users would enter with a signal, and rules would send them messages ({shown}), because of "
            "`on_apply: enter`; nothing was applied: accept it with `perennial apply --yes`"
        )
    taken = {name: f"{number:,}" for name, number in counts.taken.items() if number}
    taken |= dict.fromkeys(plan.untold, "a number that is not known, because its segment reads marks,")
    if taken:
        shown = ", ".join(f"{number} into {name}" for name, number in sorted(taken.items()))
        raise EntriesNotAccepted(
            f"members of a segment would enter a journey ({shown}), because of `existing: enter`; nothing was applied: "
            "accept it with `perennial apply --yes`"
        )


def _require_alike(plan: ConditionsPlan, shown: ProspectiveCounts, present: ProspectiveCounts) -> None:
    found = differences(plan, shown, present)
    if found:
        raise NumbersDiffer(
            f"the numbers have changed by over {MAX_DIFFERENCE:.0%} while the log was read: {'; '.join(found)}. The "
            "configuration is in use, but its new conditions stay unknown, so no user has entered or left by them; "
            "run `perennial apply` again, which shows the new numbers"
        )


def read_wanted(settings: Settings) -> Configuration:
    """Read the configuration of a settings file, and check that its templates can be rendered."""
    wanted = read_configuration(settings)
    require_rendering(settings, wanted)
    return wanted


async def read_plan(connection: Connection, wanted: Configuration) -> ConditionsPlan:
    """Compare a configuration with the one in use: which conditions are new, and which wait for their history."""
    newest = newest_use(await read_uses(connection))
    known = None if newest is None else decode(bytes(newest.content))
    return ConditionsPlan(wanted, known, await read_pending(connection))


async def publish_in_use(connection: Connection, partitions: int, wanted: Configuration) -> Applied:
    """Publish a configuration in the format level of the log, without the history of new clauses.

    Raises
    ------
    InvalidConfiguration
        Only a higher level can express it.
    UnknownLevel
        The log has a level that this code does not know.
    EntriesNotAccepted
        Users would enter segments with a signal.
    """
    await _require_expressible(connection, partitions, wanted)
    plan = await read_plan(connection, wanted)
    entering = [*plan.entering, *plan.taking]
    if entering and await _has_events(connection, partitions):
        asked_by = "`on_apply: enter`" if plan.entering else "`existing: enter`"
        raise EntriesNotAccepted(
            f"users may enter at once ({', '.join(entering)}), because of {asked_by}; nothing was "
            "applied: `perennial apply` shows how many, and `perennial apply --yes` accepts it"
        )
    return await publish(connection, wanted)


async def _require_expressible(connection: Connection, partitions: int, wanted: Configuration) -> None:
    level = await level_in_use(connection, partitions)
    require_known("the log", level)
    require_expressible(wanted, level)


async def _has_events(connection: Connection, partitions: int) -> bool:
    """Return whether a partition of the log has more than its first record, which names the clock."""
    async with TopicReader(connection, partitions_of(connection, EVENTS, partitions)) as reader:
        return any(end > 1 for end in (await reader.ends()).values())
