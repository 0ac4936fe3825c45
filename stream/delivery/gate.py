"""The gate: the one place that decides whether a message may leave the house."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Literal

import msgspec

from models.configuration.templates import UNSUBSCRIBE_PLACEHOLDER
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.suppressor import Suppressor
from stream.delivery.outbox import Outbox
from stream.delivery.provider import Provider
from stream.delivery.unsubscribe import Signer

Mode = Literal["outbox", "allowlist", "live"]


class Gate:
    """Hands a message to the real provider or to the outbox.

    Only a message of origin ``live`` ever reaches a real provider, whatever the mode.

    Parameters
    ----------
    mode
        ``outbox``: nothing leaves. ``allowlist``: only to these addresses. ``live``: everything.
    outbox
        For what stays.
    provider
        The real one; without one, what could leave is rejected.
    signer
        Of unsubscribe links; ``None`` leaves the placeholder, and only where nothing can leave.
    now
        The wall clock, milliseconds.
    allowlist
        Addresses, phone numbers in E.164, or ``@example.com`` for a whole domain.
    suppressor
        Stops messages to addresses on the suppression list, also those for the outbox.

    Raises
    ------
    ValueError
        Something can leave, but its unsubscribe links cannot be signed.
    """

    def __init__(
        self,
        mode: Mode,
        outbox: Outbox,
        *,
        now: Callable[[], int],
        provider: Provider | None = None,
        signer: Signer | None = None,
        allowlist: Collection[str] = (),
        suppressor: Suppressor | None = None,
    ) -> None:
        if mode != "outbox" and provider is not None and signer is None:
            raise ValueError(f"delivery mode {mode} needs a secret that signs unsubscribe links")
        self._mode = mode
        self._outbox = outbox
        self._provider = provider
        self._signer = signer
        self._now = now
        self.suppressor = suppressor
        self._allowed = frozenset(entry.strip().lower() for entry in allowlist)

    @property
    def lookup_delays_ms(self) -> Sequence[int]:
        """Waits before each look at a message with an unknown outcome; none where nobody can be asked."""
        return () if self._provider is None else self._provider.lookup_delays_ms

    def leaves(self, message: Message) -> bool:
        """Whether the real provider is called for a message."""
        return self._provider is not None and not self._stays(message)

    async def deliver(self, message: Message) -> Result:
        """Complete one message with its unsubscribe link and hand it over, unless its address is suppressed."""
        stays = self._stays(message)
        if not stays and self._provider is None:
            return Result("rejected", f"no provider of {message.channel} is configured")
        stopped = self._stopped(message)
        if stopped is not None:
            return stopped
        complete, link = self._completed(message)
        if stays or self._provider is None:
            return await self._outbox.deliver(complete, unsubscribe=link, note=stays)
        return await self._provider.deliver(complete, unsubscribe=link, last_look=partial(self._stopped, message))

    async def look_up(self, message: Message) -> Result:
        """Ask the provider what became of a message."""
        if self._provider is None:
            return Result("unknown", "nobody can be asked")
        return await self._provider.look_up(self._completed(message)[0])

    async def close(self) -> None:
        """Close the provider."""
        if self._provider is not None:
            await self._provider.close()

    def _stopped(self, message: Message) -> Result | None:
        return None if self.suppressor is None else self.suppressor.stops(message, self._now())

    def _completed(self, message: Message) -> tuple[Message, str | None]:
        # Nothing in a link depends on the time: every attempt of a message has the same bytes.
        if self._signer is None:
            return message, None
        address = "" if self.suppressor is None else self.suppressor.hash_of(message)
        link = self._signer.link(message.user, message.channel, address)
        return _linked(message, link), link

    def _stays(self, message: Message) -> str:
        """Why a message stays in the house; empty where it may leave."""
        if message.origin != "live":
            return f"origin {message.origin}"
        if self._mode == "outbox":
            return "mode outbox"
        if self._mode == "allowlist" and not self._on_list(message.to):
            return "not on the allowlist"
        return ""

    def _on_list(self, to: str) -> bool:
        address = to.lower()
        _, at, domain = address.rpartition("@")
        return address in self._allowed or (bool(at) and f"@{domain}" in self._allowed)


def _linked(message: Message, link: str) -> Message:
    html = None if message.html is None else message.html.replace(UNSUBSCRIBE_PLACEHOLDER, link)
    text = message.text.replace(UNSUBSCRIBE_PLACEHOLDER, link)
    return msgspec.structs.replace(message, text=text, html=html)
