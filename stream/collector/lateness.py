"""Early refusal of events that the fold would refuse as ``too_late``, so that the sender is notified.

The fold uses the broker's clock, and the door uses the clock of its machine. So the door adds a margin, and refuses
only events that the fold would refuse as well. An event that states a withdrawal, a complaint or a bounce is never too
late.
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

MARGIN_MS = 15 * MINUTE
"""Tolerance for the difference of the clocks of door and broker, and for an outdated configuration, milliseconds."""

InUse = Callable[[], Configuration | None]
"""Function that returns the configuration in use; ``None`` while it is not known."""


def unknown() -> Configuration | None:
    """Return no configuration, so that no event is too late for the door."""
    return None


def check(event: Event, received_at: int, in_use: InUse) -> None:
    """Refuse an event that is certainly too late.

    Parameters
    ----------
    event
        The event as it would be written to the log.
    received_at
        Time of arrival, milliseconds.
    in_use
        Returns the configuration in use.

    Raises
    ------
    InvalidEvent
        ``too_late``: the event is older than the horizon of the log.
    """
    if received_at - event.at <= HOUR:  # no horizon is shorter than an hour
        return
    configuration = in_use()
    if configuration is None or event.at >= received_at - configuration.events.horizon - MARGIN_MS:
        return
    # The facts are those of a new user, so that every statement in the event counts as new.
    if statement_of(Facts(), event, configuration.consent) is not None:
        return
    oldest = received_at - configuration.events.horizon
    hours = configuration.events.horizon // HOUR
    history = "to read older events into a separate log, use perennial replay"
    allowed = f"{_written(oldest)} or later, because events.horizon is {hours} h; {history}"
    raise InvalidEvent("too_late", "at", _written(event.at), allowed)


def _written(at: int) -> str:
    """Return a time, milliseconds, in the form of RFC 3339."""
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
