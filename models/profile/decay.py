"""Exponentially decayed counts: how often something has happened lately, at several half-lives."""

from __future__ import annotations

from math import exp2

from models.profile.state import Decay
from models.units import DAY

HALF_LIVES = (1.0, 7.0, 30.0)
"""The half-lives, in days."""

_SHORT, _MIDDLE, _LONG = HALF_LIVES


def bump(decay: Decay, at: int, amount: float = 1.0) -> None:
    """Add ``amount`` at time ``at``.

    A late event is weighed as if it had come in order. So the result does not depend on the order, except for the last
    bits of the floats.

    Examples
    --------
    >>> d = Decay()
    >>> bump(d, 0)
    >>> bump(d, 7 * DAY)
    >>> [round(v, 3) for v in d.values]
    [1.008, 1.5, 1.851]
    """
    if not decay.values:
        decay.at = at
        decay.values = (amount, amount, amount)
        return
    days = (at - decay.at) / DAY
    if days >= 0:
        short, middle, long = levels(decay, at)
        decay.values = (short + amount, middle + amount, long + amount)
        decay.at = at
    else:
        short, middle, long = decay.values
        decay.values = (
            short + amount * exp2(days / _SHORT),
            middle + amount * exp2(days / _MIDDLE),
            long + amount * exp2(days / _LONG),
        )


def levels(decay: Decay, now: int) -> tuple[float, float, float]:
    """Return the counts at each of ``HALF_LIVES``, decayed to ``now``."""
    if not decay.values:
        return 0.0, 0.0, 0.0
    short, middle, long = decay.values
    days = (now - decay.at) / DAY
    if days <= 0:
        return short, middle, long
    return short * exp2(-days / _SHORT), middle * exp2(-days / _MIDDLE), long * exp2(-days / _LONG)
