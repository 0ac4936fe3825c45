"""A token bucket: it limits the rate of calls, and allows short bursts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.units import SECOND


@dataclass(frozen=True, slots=True)
class CallRate:
    """The maximum rate of a provider's calls.

    Attributes
    ----------
    per_second
        Calls per second.
    burst
        Calls that may begin at once after a rest.
    """

    per_second: float
    burst: int = 1


class TokenBucket:
    """A bucket of tokens, one for each call. It is empty at first, and fills with time.

    Its owner has a share of the rate, because other processes have the rest. The share may change at any time. Tokens
    come for the share of their time, so the sum over all processes is never above the rate.

    Parameters
    ----------
    rate
        The rate of all processes together.
    now
        Time, milliseconds.

    Examples
    --------
    >>> bucket = TokenBucket(CallRate(per_second=10, burst=5), now=0)
    >>> bucket.available(now=0), bucket.available(now=200), bucket.available(now=60_000)
    (0, 2, 5)
    >>> bucket.take(5)
    >>> bucket.available(now=60_000), bucket.next_at(now=60_000)
    (0, 60100)
    >>> bucket.share(0.5, now=60_000)
    >>> bucket.next_at(now=60_000)
    60200
    """

    def __init__(self, rate: CallRate, now: int) -> None:
        self._rate = rate
        self._share = 1.0
        self._tokens = 0.0
        self._at = now

    def __repr__(self) -> str:
        return f"<TokenBucket {self._tokens:.1f} of {self._capacity:.1f}>"

    @property
    def _per_ms(self) -> float:
        return self._rate.per_second * self._share / SECOND

    @property
    def _capacity(self) -> float:
        # Below one token no call would ever begin.
        return max(1.0, self._rate.burst * self._share)

    def share(self, share: float, now: int) -> None:
        """Set the part of the rate that belongs to this bucket from now on, above 0 and at most 1."""
        self._fill(now)
        self._share = share
        self._tokens = min(self._tokens, self._capacity)

    def available(self, now: int) -> int:
        """Return the number of calls that may begin."""
        self._fill(now)
        return int(self._tokens + 1e-9)

    def take(self, number: int) -> None:
        """Take tokens for calls that begin."""
        self._tokens -= number

    def next_at(self, now: int) -> int | None:
        """Return the time at which a call may begin, milliseconds; ``None`` if one may begin now."""
        if self.available(now):
            return None
        return self._at + math.ceil((1.0 - self._tokens) / self._per_ms - 1e-6)

    def _fill(self, now: int) -> None:
        # A clock that is set back adds nothing.
        self._tokens = min(self._capacity, self._tokens + max(now - self._at, 0) * self._per_ms)
        self._at = now
