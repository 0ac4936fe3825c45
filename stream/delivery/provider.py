"""The protocol of a provider: everything that delivery expects of a channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from models.delivery.deliveries import Result
from models.delivery.messages import Message

LastCheck: TypeAlias = Callable[[], Result | None]
"""Returns the result of a message that must not be handed over now; ``None`` if it may be handed over."""


def allow() -> Result | None:
    """Stop nothing."""
    return None


class Provider(Protocol):
    """A service that delivers messages of one channel.

    Every provider is listed in :data:`stream.delivery.channels.PROVIDERS`, and must pass
    ``tests/contracts/test_channels.py``.
    """

    @property
    def max_concurrency(self) -> int:
        """Maximum number of concurrent calls."""

    @property
    def lookup_delays_ms(self) -> Sequence[int]:
        """Delays before the look-ups of an unknown message; empty if the provider cannot be asked."""

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_check: LastCheck = allow) -> Result:
        """Hand one message over, once, without a retry.

        Parameters
        ----------
        message
            The message with complete bodies.
        unsubscribe
            The signed link that the bodies contain, for channels with headers.
        last_check
            Called as late as the protocol allows. If it returns a result, nothing is handed over, and that result is
            returned.

        Returns
        -------
        Result
            ``failed`` only if the message was refused before it was accepted: then another attempt cannot become a
            second message. ``unknown`` if that is not clear. ``trouble`` if any other message would have failed in
            the same way.
        """

    async def look_up(self, message: Message) -> Result:
        """Ask about the outcome of a message, which has the same bodies as when it was handed over.

        ``delivered`` or ``rejected`` if the provider says so; ``failed`` if it does not know the message; otherwise
        ``unknown``.
        """

    async def close(self) -> None:
        """Close all connections."""


class CannotBeAsked:
    """The look-up of a provider that cannot be asked about a message."""

    @property
    def lookup_delays_ms(self) -> tuple[int, ...]:
        """Always empty, so nothing is looked up."""
        return ()

    async def look_up(self, message: Message) -> Result:
        """Return ``unknown``."""
        return Result("unknown", f"{self!r} cannot be asked about message {message.id}")
