"""Exponentially decayed counts: how much of something lately, at several half-lives."""

from __future__ import annotations

from math import exp2

from models.customer.state import Decay

DAY = 86_400_000
"""Milliseconds."""

HALF_LIVES = (1.0, 7.0, 30.0)
"""Days."""


def bump(decay: Decay, at: int, amount: float = 1.0) -> None:
    """Count ``amount`` at time ``at``.

    An event that comes late is weighed as if it had come in order, so the result does not depend on the order (but for
    the last bits).

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
        decay.values = [amount] * len(HALF_LIVES)
        return
    days = (at - decay.at) / DAY
    if days >= 0:
        decay.values = [v * exp2(-days / h) + amount for v, h in zip(decay.values, HALF_LIVES, strict=True)]
        decay.at = at
    else:
        decay.values = [v + amount * exp2(days / h) for v, h in zip(decay.values, HALF_LIVES, strict=True)]


def level(decay: Decay, now: int, index: int) -> float:
    """Tell the count at ``HALF_LIVES[index]``, decayed to ``now``."""
    if not decay.values:
        return 0.0
    days = (now - decay.at) / DAY
    return decay.values[index] * exp2(-days / HALF_LIVES[index]) if days > 0 else decay.values[index]
