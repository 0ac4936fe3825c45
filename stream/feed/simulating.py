"""A simulated shop from its first visitor to the last event that is folded.

The same seed and configuration give the same log, record by record in every partition, however fast it is folded: a
look into the mailboxes waits for the fold, and finds what was decided up to a simulated time. Two things go by the wall
clock and are not reproduced: which version of a model a learner has published when (so messages of rules that wait for
a churn risk or a segment differ from run to run, and with them the reactions to these), and where in the log the
outcomes of deliveries stand.
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
from stream.feed.feeding import feeding
from stream.feed.mailbox import Mailbox
from stream.settings.loading import Settings

STEP_MS = 6 * HOUR
"""Between two looks into the mailboxes."""
POST_MS = 18 * HOUR
"""A message is on its way for so long, whatever the fold's pace: then the same messages are found at every look. The
shorter it is, the more the shop has to wait for the fold."""


class Simulated(NamedTuple):
    """What a simulation did.

    Attributes
    ----------
    shoppers
        Who came at least once.
    events
        Fed, those that our messages caused among them.
    messages
        That the shoppers have read.
    reactions
        Openings, clicks and unsubscriptions.
    seconds
        It took, until the last event was folded.
    """

    shoppers: int
    events: int
    messages: int
    reactions: int
    seconds: float


def validated(event: Event) -> Event:
    """Send an event through the doors' own validation, as a sender of the short form would.

    Raises
    ------
    InvalidEvent
        The doors would not take it: a bug of the simulation.
    """
    if event.type.startswith("message_"):
        return event  # what became of our messages nobody may send; providers' webhooks report it
    checked = wire.decode(wire.encode(event), Received(Source("simulate", 0, 0), event.at, "simulate"))
    # Which of our messages an unsubscription answers is no field of the wire either: the door knows it from the link.
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
    """Let the shop run into the log, and return when all of it is folded; see the module for what is reproducible.

    Parameters
    ----------
    settings
        Of the installation; a worker runs.
    storefront
        The shop, at its beginning.
    tick_ms
        How finely time goes on, simulated milliseconds.
    speed
        Simulated time by wall time; ``None``: as fast as it is folded.
    on_progress
        Called with the events written so far, and the simulated time reached (milliseconds).

    Raises
    ------
    WrongClock, AlreadyFed, NobodyFolds
        As :func:`feeding`.
    """
    began = time.monotonic()
    fed = messages = reactions = 0
    users: set[str] = set()

    def written(events: int, now: int) -> None:
        nonlocal fed
        fed += events
        if on_progress is not None:
            on_progress(fed, now)

    async with (
        feeding(settings, on_write=written, speed=speed, tick_ms=tick_ms) as feeder,
        Mailbox(settings.connection(), settings.partitions) as mailbox,
    ):
        while storefront.now < storefront.end:
            arrived = storefront.now - POST_MS
            await feeder.folded_before(arrived)
            for message in await mailbox.before(arrived):
                messages += 1
                storefront.react(message)
            events = [validated(event) for event in storefront.advance(storefront.now + STEP_MS)]
            users.update(event.user for event in events)
            reactions += sum(event.message is not None for event in events)
            await feeder.feed(events, until=storefront.now)
        await feeder.settle()
    return Simulated(len(users), fed, messages, reactions, time.monotonic() - began)
