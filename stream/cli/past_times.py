"""Times in the past, as the options of commands take them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import typer

from models import durations
from models.units import now_ms


def past_time(option: str, written: str) -> int:
    """Read a time with its zone, or a duration before now; return milliseconds since the epoch.

    Parameters
    ----------
    option
        Name of the option, for the error message.
    written
        Such as ``2h`` or ``2026-05-01T12:00Z``.
    """
    with suppress(ValueError):  # otherwise it is a time
        return now_ms() - durations.milliseconds(written)
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(
            f"{option}: found {written!r}; allowed: a duration such as 2h or 7d, or a time with its zone, such as "
            f"2026-05-01T12:00Z"
        )
    return int(at.timestamp() * 1_000)
