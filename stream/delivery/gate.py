"""The gate: it alone decides whether a message may leave this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Literal

import msgspec

from models.configuration.templates import CONFIRM_PLACEHOLDER, UNSUBSCRIBE_PLACEHOLDER
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.suppressor import Suppressor
from stream.delivery.confirming import confirm_link
from stream.delivery.outbox import Outbox
from stream.delivery.provider import Provider
from stream.delivery.unsubscribe import Signer

Mode = Literal["outbox", "allowlist", "live"]


class Reach:
    """The recipients that a real provider may send to. A message whose origin is not ``live`` never reaches it.

    Parameters
    ----------
    mode
        ``outbox``: no recipient. ``allowlist``: only these addresses. ``live``: every recipient.
    allowlist
        Addresses, phone numbers in E.164, or ``@example.com`` for a whole domain.
    """

    def __init__(self, mode: Mode, allowlist: Collection[str] = ()) -> None:
        self.mode: Mode = mode
        self._allowed = frozenset(entry.strip().lower() for entry in allowlist)

    def __repr__(self) -> str:
        return f"<Reach {self.mode}, {len(self._allowed)} allowed>"

    def reason_to_stay(self, message: Message) -> str:
        """Return the reason why a message goes to the outbox; an empty text if the message may leave."""
        if message.origin != "live":
            return f"origin {message.origin}"
        if self.mode == "outbox":
            return "mode outbox"
        if self.mode == "allowlist" and not self._is_allowed(message.to):
            return "not on the allowlist"
        return ""

    def _is_allowed(self, to: str) -> bool:
        address = to.lower()
        _, at, domain = address.rpartition("@")
        return address in self._allowed or (bool(at) and f"@{domain}" in self._allowed)


class Gate:
    """The way of a message to the real provider or to the outbox.

    Parameters
    ----------
    reach
        Rule for the messages that may leave.
    outbox
        Receiver of all other messages.
    now
        Returns the time of the wall clock, milliseconds.
    provider
        The real provider. Without one, a message that may leave is rejected.
    signer
        Signs unsubscribe links, and links that confirm a consent. With ``None``, the placeholder stays in the text,
        which is allowed only if no message can leave this machine.
    suppressor
        Stops messages to addresses on the suppression list, even those for the outbox.

    Raises
    ------
    ValueError
        A message can leave, but its unsubscribe link cannot be signed.
    """

    def __init__(
        self,
        reach: Reach,
        outbox: Outbox,
        *,
        now: Callable[[], int],
        provider: Provider | None = None,
        signer: Signer | None = None,
        suppressor: Suppressor | None = None,
    ) -> None:
        if reach.mode != "outbox" and provider is not None and signer is None:
            raise ValueError(f"delivery mode {reach.mode} needs a secret that signs unsubscribe links")
        self._reach = reach
        self._outbox = outbox
        self._provider = provider
        self._signer = signer
        self._now = now
        self.suppressor = suppressor

    def __repr__(self) -> str:
        return f"<Gate {self._reach!r} to {self._provider!r}>"

    @property
    def lookup_delays_ms(self) -> Sequence[int]:
        """Delays before the look-ups of a message of unknown outcome; empty if there is no provider to ask."""
        return () if self._provider is None else self._provider.lookup_delays_ms

    def leaves(self, message: Message) -> bool:
        """Return whether the real provider is called for a message."""
        return self._provider is not None and not self._reach.reason_to_stay(message)

    async def deliver(self, message: Message) -> Result:
        """Complete one message with its unsubscribe link and hand it over, unless its address is suppressed."""
        stays = self._reach.reason_to_stay(message)
        if not stays and self._provider is None:
            return Result("rejected", f"no provider of {message.channel} is configured")
        stopped = self._stopped(message)
        if stopped is not None:
            return stopped
        complete, link = self._completed(message)
        if stays or self._provider is None:
            return await self._outbox.deliver(complete, unsubscribe=link, note=stays)
        return await self._provider.deliver(complete, unsubscribe=link, last_check=partial(self._stopped, message))

    async def look_up(self, message: Message) -> Result:
        """Ask the provider about the outcome of a message."""
        if self._provider is None:
            return Result("unknown", "there is no provider to ask")
        return await self._provider.look_up(self._completed(message)[0])

    async def close(self) -> None:
        """Close the provider."""
        if self._provider is not None:
            await self._provider.close()

    def _stopped(self, message: Message) -> Result | None:
        return None if self.suppressor is None else self.suppressor.stops(message, self._now())

    def _completed(self, message: Message) -> tuple[Message, str | None]:
        if self._signer is None:
            return message, None
        address = "" if self.suppressor is None else self.suppressor.hash_of(message)
        link = self._signer.link(message, address)
        complete = _linked(message, UNSUBSCRIBE_PLACEHOLDER, link)
        if message.confirms:
            complete = _linked(complete, CONFIRM_PLACEHOLDER, confirm_link(self._signer, message))
        return complete, link


def _linked(message: Message, placeholder: str, link: str) -> Message:
    html = None if message.html is None else message.html.replace(placeholder, link)
    text = message.text.replace(placeholder, link)
    return msgspec.structs.replace(message, text=text, html=html)
