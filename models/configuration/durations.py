"""Durations as people write them: ``90s``, ``1h``, ``14d``."""

from __future__ import annotations

import re

from models.units import DAY, HOUR, MINUTE, SECOND

PATTERN = r"^[1-9][0-9]{0,5}(s|m|h|d|w)$"
"""What a duration looks like; also what the JSON Schema of the file says."""

ALLOWED = "a whole number and a unit: 90s, 30m, 1h, 14d or 2w"

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_FORM = re.compile(PATTERN)


def milliseconds(duration: str) -> int:
    """Milliseconds of a written duration; a day is 24 hours.

    Raises
    ------
    ValueError
        It is not written as one.

    Examples
    --------
    >>> milliseconds("1h"), milliseconds("2w")
    (3600000, 1209600000)
    """
    if not _FORM.match(duration):
        raise ValueError(ALLOWED)
    return int(duration[:-1]) * _UNITS[duration[-1]]


def written(duration: int) -> str:
    """Write milliseconds, a multiple of a second, with the largest unit that divides them; weeks as days.

    Examples
    --------
    >>> written(7 * DAY), written(90_000)
    ('7d', '90s')
    """
    units = (("d", DAY), ("h", HOUR), ("m", MINUTE))
    unit, size = next(((unit, size) for unit, size in units if not duration % size), ("s", SECOND))
    return f"{duration // size}{unit}"
