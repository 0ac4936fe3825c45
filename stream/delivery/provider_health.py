"""Health of a provider: its circuit breaker, with the log lines and metrics that show it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from models.delivery.breaker import Breaker, BreakerPolicy, BreakerState
from models.delivery.deliveries import Result
from models.events import Channel
from monitoring import metrics

logger = logging.getLogger(__name__)

_SHOWN: dict[BreakerState, float] = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class ProviderHealth:
    """The judgement of one provider by the results of its calls.

    Parameters
    ----------
    channel
        Channel of the provider.
    now
        Returns the time of the wall clock, milliseconds.
    policy
        Conditions under which the circuit breaker opens.
    """

    def __init__(self, channel: Channel, now: Callable[[], int], policy: BreakerPolicy | None) -> None:
        self._channel = channel
        self._now = now
        self._breaker = Breaker(policy)
        self._show()

    def __repr__(self) -> str:
        return f"<ProviderHealth {self._channel}: {self.state}>"

    @property
    def state(self) -> BreakerState:
        """State of the circuit breaker now."""
        return self._breaker.state(self._now())

    @property
    def waits_until(self) -> int | None:
        """The time until which the provider is not called, milliseconds of the wall clock; ``None`` if it is called."""
        return self._breaker.until if self.state == "open" else None

    @property
    def limit(self) -> int | None:
        """Maximum number of calls that may begin now; ``None`` for any number."""
        return self._breaker.limit(self._now())

    def slots_taken(self) -> None:
        """Record that calls are about to begin."""
        self._breaker.begin()

    def slots_unused(self) -> None:
        """Record that slots were released without a call."""
        self._breaker.void()

    def judge(self, result: Result, *, was_called: bool) -> None:
        """Record the result of a call; ``was_called`` is false if the message did not go to the provider."""
        before = self.state
        if not was_called:
            self._breaker.void()
        elif result.trouble:
            self._breaker.fail(self._now())
        else:
            self._breaker.succeed()
        after = self.state
        if after == before:
            return
        self._show()
        if after == "open":
            metrics.increment("breaker_openings", self._channel)
            logger.warning("%s: the provider fails, and is not called for a while: %s", self._channel, result.detail)
        elif after == "closed":
            logger.warning("%s: the provider works again", self._channel)

    def _show(self) -> None:
        metrics.gauge("provider_breaker", _SHOWN[self.state], self._channel)
