"""What delivery expects of a channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from models.delivery.deliveries import Result
from models.delivery.messages import Message

LastLook = Callable[[], Result | None]
"""Gives the result of a message that may not be handed over after all; ``None`` where it may."""


def unstopped() -> Result | None:
    """Stop nothing."""
    return None


class Provider(Protocol):
    """Hands messages of one channel over to whoever delivers them."""

    @property
    def max_concurrency(self) -> int:
        """Calls that it takes at a time."""

    @property
    def lookup_delays_ms(self) -> Sequence[int]:
        """Waits before each look at a message with an unknown outcome, milliseconds; none where nobody can be asked."""

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_look: LastLook = unstopped) -> Result:
        """Hand one message over, once.

        The bodies are complete; ``unsubscribe`` is the signed link that stands in them, for channels with headers.
        Does not try again by itself. ``failed`` says that it was refused before it was accepted, so another try
        cannot become a second message; whatever is not clear is ``unknown``. ``trouble`` says that any other message
        would have met the same. ``last_look`` is asked as late as the protocol allows: what it gives is the result, and
        nothing is handed over then.
        """

    async def look_up(self, message: Message) -> Result:
        """Ask what became of a message with an unknown outcome: ``delivered``, ``rejected``, or still ``unknown``.

        The bodies are complete, as they were handed over.
        """

    async def close(self) -> None:
        """Close connections."""
