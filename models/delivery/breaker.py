"""A circuit breaker: a provider that fails again and again is left alone for a while, then asked by one message.

Only what says something about the provider counts. That one recipient is refused says that the provider works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.units import SECOND

State = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class Policy:
    """When a breaker opens, and for how long.

    Attributes
    ----------
    failures
        So many in a row open it.
    pause
        Until the first probe, milliseconds; it doubles with every probe that fails.
    longest
        That it grows to.
    """

    failures: int = 5
    pause: int = 5 * SECOND
    longest: int = 120 * SECOND


class Breaker:
    """Closed, it lets everything pass; open, nothing; half open, one call at a time, which decides.

    Parameters
    ----------
    policy
        See there.

    Examples
    --------
    >>> breaker = Breaker(Policy(failures=2, pause=1_000))
    >>> breaker.failed(now=0)
    >>> breaker.allows(now=0)
    True
    >>> breaker.failed(now=10)
    >>> breaker.allows(now=10), breaker.until
    (False, 1010)
    >>> breaker.allows(now=1_010)
    True
    >>> breaker.begun()
    >>> breaker.allows(now=1_010)
    False
    >>> breaker.worked()
    >>> breaker.allows(now=1_020)
    True
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()
        self._failures = 0
        self._pauses = 0
        self._until: int | None = None
        self._probing = False

    @property
    def until(self) -> int | None:
        """Until when it is open: then a probe may pass, milliseconds; ``None`` where it is closed."""
        return self._until

    def state(self, now: int) -> State:
        """Where it stands."""
        if self._until is None:
            return "closed"
        return "half_open" if self._probing or now >= self._until else "open"

    def most(self, now: int) -> int | None:
        """How many calls may begin; ``None`` for any number."""
        state = self.state(now)
        if state == "closed":
            return None
        return 1 if state == "half_open" and not self._probing else 0

    def allows(self, now: int) -> bool:
        """Whether a call may begin."""
        return self.most(now) != 0

    def begun(self) -> None:
        """Note that a call begins: where it is not closed, that is the probe."""
        self._probing = self._until is not None

    def worked(self) -> None:
        """Note that the provider did what a provider does, be it a refusal of one recipient."""
        self._failures = self._pauses = 0
        self._until, self._probing = None, False

    def failed(self, now: int) -> None:
        """Note that the provider failed."""
        self._failures += 1
        if self._until is not None and not self._probing and now < self._until:
            return  # a call from before it opened
        if self._until is not None or self._failures >= self._policy.failures:
            self._until = now + min(self._policy.pause << min(self._pauses, 30), self._policy.longest)
            self._pauses += 1
            self._probing = False

    def said_nothing(self) -> None:
        """Note that a call ended that was none of the provider: a probe does not count then."""
        self._probing = False
