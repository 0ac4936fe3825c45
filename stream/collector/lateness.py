"""Refusal of events that the fold would refuse as ``too_late``: the door refuses them, so that the sender knows.

The fold goes by the broker's clock, and the door by its own. So the door refuses only what is late by a margin more:
what it refuses, the fold would refuse, too. What states a withdrawal, a complaint or a bounce is never too late.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from models.configuration.compiled import Configuration
from models.errors import InvalidEvent
from models.events import Event
from models.profile.state import Facts
from models.profile.statements import statement_of
from models.units import HOUR, MINUTE

MARGIN = 15 * MINUTE
"""How far the clocks of door and broker may be apart, and how old the door's knowledge may be, milliseconds."""

InUse = Callable[[], Configuration | None]


def unknown() -> Configuration | None:
    """Return no configuration: where none is known, nothing is too late for the door."""
    return None


def check(event: Event, received_at: int, in_use: InUse) -> None:
    """Raise :class:`InvalidEvent` for an event that is certainly too late.

    Parameters
    ----------
    event
        As it would be written to the log.
    received_at
        Now, milliseconds.
    in_use
        Gives the configuration in use, as far as it is known.
    """
    if received_at - event.at <= HOUR:  # no horizon is shorter
        return
    configuration = in_use()
    if configuration is None or event.at >= received_at - configuration.events.horizon - MARGIN:
        return
    # A user of whom nothing is known: so every statement in the event is a new one.
    if statement_of(Facts(), event, configuration.consent) is not None:
        return
    oldest = received_at - configuration.events.horizon
    hours = configuration.events.horizon // HOUR
    history = "perennial replay reads history into a log of its own"
    allowed = f"{_written(oldest)} or later: events.horizon is {hours} h; {history}"
    raise InvalidEvent("too_late", "at", _written(event.at), allowed)


def _written(at: int) -> str:
    """Write a time, milliseconds, as its sender may read it."""
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
