"""What delivery expects of a channel."""

from __future__ import annotations

from typing import Protocol

from models.engage.deliveries import Result
from models.engage.messages import Message


class Provider(Protocol):
    """Hands messages of one channel over to whoever delivers them."""

    async def deliver(self, message: Message, *, unsubscribe: str | None) -> Result:
        """Hand one message over, once.

        The bodies are complete; ``unsubscribe`` is the signed link that stands in them, for channels with headers.
        Does not try again by itself. ``failed`` says that it was refused before it was accepted, so another try
        cannot become a second message; whatever is not clear is ``unknown``.
        """

    async def close(self) -> None:
        """Close connections."""
