"""A simulated shop, from its first visitor to the last event that is folded.

The same seed and configuration give the same log, record by record in every partition, at any speed of the fold. Before
the shoppers read their mailboxes, the simulation waits for the fold. So they find the messages that were decided up to
a certain simulated time.

Two things depend on the wall clock and are not reproduced. The first is when a learner publishes a version of a model.
Messages of rules that depend on a churn risk or a segment differ from run to run, and so do the reactions to them. The
second is the place in the log at which the outcomes of deliveries are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from models import wire
from models.events import Event
from models.source import Received, Source
from models.storefront.storefront import Storefront
from models.units import HOUR
from stream.feed.feeder import Pace
from stream.feed.feeding import feeding
from stream.feed.mailbox import Mailbox
from stream.settings.loading import Settings

STEP_MS = 6 * HOUR
"""How long the shoppers wait before they read their mailboxes again, simulated milliseconds."""
POST_MS = 18 * HOUR
"""How long a message takes to reach a mailbox, simulated milliseconds.

This time does not depend on the speed of the fold, so that the shoppers find the same messages in each run. If it were
shorter, the shop would have to wait for the fold more often.
"""


class Simulated(NamedTuple):
    """Result of a simulation.

    Attributes
    ----------
    shoppers
        Number of shoppers who came at least once.
    events
        Number of events that were written, including those that our messages caused.
    messages
        Number of messages that the shoppers have read.
    reactions
        Number of openings, clicks and unsubscriptions.
    logins
        Number of logins of visitors with an anonymous id.
    seconds
        Duration until the last event was folded, seconds.
    """

    shoppers: int
    events: int
    messages: int
    reactions: int
    logins: int
    seconds: float


def validated(event: Event) -> Event:
    """Return the event as a door would read it from a sender of the short form.

    Raises
    ------
    InvalidEvent
        A door would reject it, which is a bug of the simulation.
    """
    if event.type.startswith("message_"):
        return event  # no sender may report outcomes of our messages; webhooks of providers do
    checked = wire.decode(wire.encode(event), Received(Source("simulate", 0, 0), event.at, "simulate"))
    # No field of the wire names the message that an unsubscription answers, so it is copied from the simulated event.
    return checked if event.message is None else _about(checked, event.message)


def _about(event: Event, message: str) -> Event:
    return replace(event, message=message)


async def simulate(
    settings: Settings,
    storefront: Storefront,
    *,
    tick_ms: int = HOUR,
    speed: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Simulated:
    """Write the shop's events into the log, and return when all are folded.

    The module's docstring says which results are reproducible.

    Parameters
    ----------
    settings
        Settings of the installation. A worker must already fold its log.
    storefront
        The shop, at its beginning.
    tick_ms
        Time between two ticks, simulated milliseconds.
    speed
        Ratio of simulated time to wall time; ``None`` feeds as fast as the workers fold.
    on_progress
        Called with the number of events written so far, and the simulated time that is reached, milliseconds.

    Raises
    ------
    WrongClock, AlreadyFed, NobodyFolds
        See :func:`feeding`.
    """
    began = time.monotonic()
    fed = messages = reactions = logins = 0
    people: set[str] = set()

    def written(events: int, now: int) -> None:
        nonlocal fed
        fed += events
        if on_progress is not None:
            on_progress(fed, now)

    async with (
        feeding(settings, Pace(tick_ms=tick_ms, speed=speed), written) as feeder,
        Mailbox(settings.connection(), settings.partitions) as mailbox,
    ):
        while storefront.now < storefront.end:
            arrived = storefront.now - POST_MS
            await feeder.folded_before(arrived)
            for message in await mailbox.before(arrived):
                messages += 1
                storefront.react(message)
            events = [validated(event) for event in storefront.advance(storefront.now + STEP_MS)]
            people.update(storefront.person(event.user) for event in events)
            logins += sum(event.anonymous is not None for event in events)
            reactions += sum(event.message is not None for event in events)
            await feeder.feed(events, until=storefront.now)
        await feeder.drain()
    return Simulated(len(people), fed, messages, reactions, logins, time.monotonic() - began)
