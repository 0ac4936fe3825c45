"""The maximum rate of a provider's calls in this process: its part of the rate of all processes."""

from __future__ import annotations

from collections.abc import Callable

from models.delivery.token_bucket import CallRate, TokenBucket
from models.events import Channel
from monitoring import metrics


class RateLimit:
    """The limit of one provider. Calls that it does not allow yet wait in their queues, in their order.

    Parameters
    ----------
    channel
        Channel of the provider.
    now
        Returns the time of the wall clock, milliseconds.
    rate
        The rate of all processes together; ``None`` limits nothing.
    partitions
        Number of partitions of the channel. A process has the part of the rate that its partitions are of all.
    """

    def __init__(
        self, channel: Channel, now: Callable[[], int], rate: CallRate | None = None, partitions: int = 1
    ) -> None:
        self._channel = channel
        self._now = now
        self._partitions = partitions
        self._held = 0
        self._bucket = None if rate is None else TokenBucket(rate, now())
        self.hold(1)

    def __repr__(self) -> str:
        return f"<RateLimit {self._channel}: {self._bucket!r}>"

    @property
    def limit(self) -> int | None:
        """Maximum number of calls that may begin now; ``None`` for any number."""
        return None if self._bucket is None else self._bucket.available(self._now())

    @property
    def waits_until(self) -> int | None:
        """The time at which a call may begin, milliseconds of the wall clock; ``None`` if one may begin now."""
        return None if self._bucket is None else self._bucket.next_at(self._now())

    def hold(self, partitions: int) -> None:
        """Set the number of partitions that this process has now; a process without one may begin with one."""
        held = min(max(partitions, 1), self._partitions)
        if self._bucket is not None and held != self._held:
            self._bucket.share(held / self._partitions, self._now())
        self._held = held

    def take(self, calls: int, wanted: int) -> None:
        """Record that calls begin, and whether others wait for the rate."""
        if self._bucket is None:
            return
        self._bucket.take(calls)
        if calls < wanted and not self._bucket.available(self._now()):
            metrics.increment("rate_waits", self._channel)
