"""Exact numbers: integers of 10^-6, and the bounds that they are compared with."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from math import isfinite
from typing import Any

import msgspec

from models.conditions.truth import Truth

MICROS = 1_000_000
"""Units of 10^-6 in 1."""
MAX_NUMBER = 10**12
"""Maximum absolute value of a number that is added up. A greater one counts as missing, so that a sum stays exact."""


def micros_of(value: Any) -> int | None:
    """Return a number as an integer of 10^-6, rounded half to even; ``None`` if it is not a number.

    Examples
    --------
    >>> micros_of(20), micros_of(0.0000005), micros_of("20"), micros_of(True)
    (20000000, 0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -MAX_NUMBER <= value <= MAX_NUMBER:
        return None
    if isinstance(value, int):
        return value * MICROS
    return int((Decimal(repr(value)) * MICROS).to_integral_value(ROUND_HALF_EVEN)) if isfinite(value) else None


def written_micros(micros: int) -> int | float:
    """Return the number of which :func:`micros_of` makes these micros, as a whole number if it is one."""
    whole, rest = divmod(micros, MICROS)
    return micros / MICROS if rest else whole


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """A range of an integer: a count, an amount in micros, or an age in milliseconds.

    Attributes
    ----------
    at_least, at_most
        Inclusive bounds.
    more_than, less_than
        Exclusive bounds.
    """

    at_least: int | None = None
    more_than: int | None = None
    at_most: int | None = None
    less_than: int | None = None

    @property
    def low(self) -> int | None:
        """The least integer within the bounds; ``None`` without a lower bound."""
        found = [self.at_least] if self.at_least is not None else []
        if self.more_than is not None:
            found.append(self.more_than + 1)
        return max(found, default=None)

    @property
    def high(self) -> int | None:
        """The greatest integer within the bounds; ``None`` without an upper bound."""
        found = [self.at_most] if self.at_most is not None else []
        if self.less_than is not None:
            found.append(self.less_than - 1)
        return min(found, default=None)


def is_within(value: int, low: int | None, high: int | None) -> bool:
    """Return whether an integer is within bounds."""
    return (low is None or value >= low) and (high is None or value <= high)


def within_interval(least: int, greatest: int | None, low: int | None, high: int | None) -> Truth:
    """Return whether an integer is within bounds, of which only the interval is known; ``greatest`` may be unlimited.

    Examples
    --------
    >>> within_interval(3, None, 2, None), within_interval(3, None, 5, None), within_interval(3, None, None, 2)
    (True, None, False)
    """
    if (high is not None and least > high) or (low is not None and greatest is not None and greatest < low):
        return False
    if (low is None or least >= low) and (high is None or (greatest is not None and greatest <= high)):
        return True
    return None
