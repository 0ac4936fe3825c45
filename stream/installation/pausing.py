"""Pausing and resuming a journey: an order in every partition of the log, and the wait until all have followed it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import NamedTuple

from models.levels import FIRST
from models.log import JourneyOrder, JourneyOrders, encode_control
from stream.installation.in_flight import journey_lookups
from stream.log.event_log import EventLog, WrongClock
from stream.log.levels import level_in_use
from stream.lookup.client import LookupFailed
from stream.lookup.journeys import JourneyStates
from stream.settings.loading import Settings

WITHIN_S = 10.0
"""How long the workers may take to follow the order before the command says so, seconds."""
INTERVAL_S = 0.05
"""Time between two questions to the workers, seconds."""


class OrderResult(NamedTuple):
    """The result of an order about a journey.

    Attributes
    ----------
    seconds
        Time from the order until all partitions had followed it; ``None`` if they have not yet.
    states
        The newest answer of the workers; ``None`` if no worker answered.
    """

    seconds: float | None
    states: JourneyStates | None


class NoJourneysYet(LookupFailed):
    """The log has a format level without journeys."""


async def give_order(settings: Settings, order: JourneyOrder) -> OrderResult:
    """Give a ``pause`` or ``resume``, and wait until all partitions have followed it.

    Raises
    ------
    UnknownJourney
        The workers answer, and there is no such journey. Nothing was written.
    NoJourneysYet
        The log has a format level without journeys.
    LogUnavailable
        The order may have reached only some partitions: give it again.
    """
    connection, lookups = settings.connection(), journey_lookups(settings)
    if await level_in_use(connection, settings.partitions) == FIRST:
        raise NoJourneysYet(f"format level {FIRST} of this log has no journeys; see `perennial upgrade status`")
    states = None
    with contextlib.suppress(LookupFailed):
        states = await lookups.states()
    if states is not None:
        states.of(order.journey)
    async with EventLog(connection, settings.partitions) as log:
        with contextlib.suppress(WrongClock):  # a log with the clock of a feeder accepts orders, too
            await log.ensure_clock("wall")
        begun = time.monotonic()
        await log.broadcast(*encode_control(JourneyOrders((order,))))
    if states is None:
        return OrderResult(None, None)
    while time.monotonic() < begun + WITHIN_S:
        with contextlib.suppress(LookupFailed):
            states = await lookups.states()
            if _has_followed(states, order):
                return OrderResult(time.monotonic() - begun, states)
        await asyncio.sleep(INTERVAL_S)
    return OrderResult(None, states)


def _has_followed(states: JourneyStates, order: JourneyOrder) -> bool:
    one = states.of(order.journey)
    if order.kind == "pause":
        return one.pause is not None and one.pause.entries == order.entries
    return not one.is_paused_anywhere
