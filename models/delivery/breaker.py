"""A circuit breaker: a provider that keeps failing is not called for a while, and is then probed by one call.

Only results that say something about the provider count. If one recipient is refused, the provider works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.units import SECOND

BreakerState = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """The conditions under which a breaker opens, and how long it stays open.

    Attributes
    ----------
    failures
        Number of failures in a row that open the breaker.
    pause
        Time until the first probe, milliseconds; it doubles with every probe that fails.
    longest
        Maximum of the doubled pause.
    """

    failures: int = 5
    pause: int = 5 * SECOND
    longest: int = 120 * SECOND


class Breaker:
    """A breaker: closed, it allows any number of calls; open, none; half open, only one call at a time, as a probe.

    Parameters
    ----------
    policy
        Says when the breaker opens, and for how long.

    Examples
    --------
    >>> breaker = Breaker(BreakerPolicy(failures=2, pause=1_000))
    >>> breaker.fail(now=0)
    >>> breaker.state(now=0), breaker.limit(now=0)
    ('closed', None)
    >>> breaker.fail(now=10)
    >>> breaker.state(now=10), breaker.limit(now=10), breaker.until
    ('open', 0, 1010)
    >>> breaker.state(now=1_010), breaker.limit(now=1_010)
    ('half_open', 1)
    >>> breaker.begin()
    >>> breaker.limit(now=1_010)
    0
    >>> breaker.succeed()
    >>> breaker.state(now=1_020)
    'closed'
    """

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._failures = 0
        self._pauses = 0
        self._until: int | None = None
        self._probing = False

    def __repr__(self) -> str:
        return f"<Breaker failures={self._failures}, until={self._until}, probing={self._probing}>"

    @property
    def until(self) -> int | None:
        """Time of the next probe, milliseconds; ``None`` if the breaker is closed."""
        return self._until

    def state(self, now: int) -> BreakerState:
        """Return the state of the breaker."""
        if self._until is None:
            return "closed"
        return "half_open" if self._probing or now >= self._until else "open"

    def limit(self, now: int) -> int | None:
        """Return the maximum number of calls that may begin; ``None`` for any number."""
        state = self.state(now)
        if state == "closed":
            return None
        return 1 if state == "half_open" and not self._probing else 0

    def begin(self) -> None:
        """Record that a call begins. Unless the breaker is closed, that call is the probe."""
        self._probing = self._until is not None

    def succeed(self) -> None:
        """Record that the provider worked, even if it refused one recipient."""
        self._failures = self._pauses = 0
        self._until, self._probing = None, False

    def fail(self, now: int) -> None:
        """Record that the provider failed."""
        self._failures += 1
        if self._until is not None and not self._probing and now < self._until:
            return  # a call that began before the breaker opened
        if self._until is not None or self._failures >= self._policy.failures:
            self._until = now + min(self._policy.pause << min(self._pauses, 30), self._policy.longest)
            self._pauses += 1
            self._probing = False

    def void(self) -> None:
        """Record that a call slot was released without an answer of the provider. A probe then does not count."""
        self._probing = False
