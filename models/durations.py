"""Durations as people write them: ``90s``, ``1h``, ``14d``."""

from __future__ import annotations

import re

from models.units import DAY, HOUR, MINUTE, SECOND

PATTERN = r"^[1-9][0-9]{0,5}(s|m|h|d|w)$"
"""Regular expression of a duration, also used in the JSON Schema of the file."""

ALLOWED = "a whole number and a unit: 90s, 30m, 1h, 14d or 2w"

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_FORM = re.compile(PATTERN)


def milliseconds(duration: str) -> int:
    """Convert a written duration to milliseconds; a day is 24 hours.

    Raises
    ------
    ValueError
        The text is not a duration.

    Examples
    --------
    >>> milliseconds("1h"), milliseconds("2w")
    (3600000, 1209600000)
    """
    if not _FORM.match(duration):
        raise ValueError(ALLOWED)
    return int(duration[:-1]) * _UNITS[duration[-1]]


def written(duration: int) -> str:
    """Format milliseconds, a multiple of a second, with the largest unit that divides them. Weeks are written as days.

    Examples
    --------
    >>> written(7 * DAY), written(90_000)
    ('7d', '90s')
    """
    units = (("d", DAY), ("h", HOUR), ("m", MINUTE))
    unit, size = next(((unit, size) for unit, size in units if not duration % size), ("s", SECOND))
    return f"{duration // size}{unit}"
