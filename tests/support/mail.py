"""A mail server for tests, in a separate thread."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aiosmtpd.controller import Controller

from stream.delivery.channels import DeliverySettings
from stream.delivery.gate import Mode
from stream.settings.mail_schema import SmtpSection
from stream.settings.schema import DeliverySection

SENDER = "Shop <hello@shop.example>"
KEY = b"0123456789abcdef"
"""A secret that signs unsubscribe links."""


class ReceivedMail(NamedTuple):
    """An e-mail that the server accepted."""

    sender: str
    recipient: str
    content: bytes


@dataclass
class FakeMailServer:
    """A mail server with the answers that the test sets.

    Attributes
    ----------
    answers
        Answer to every RCPT TO of a recipient.
    next_answers
        Answers to the next RCPT TO of a recipient, one after the other; ``answers`` applies after them.
    content_answers
        Answers to the next contents, one after the other.
    dropping
        Recipients whose connection is dropped after the content, although the e-mail is accepted.
    hanging
        Recipients whose content is not answered until :meth:`release`.
    away
        Number of further MAIL FROM commands that the server refuses with 421.
    on_recipient
        Called at each RCPT TO.
    received
        All accepted e-mails, the first one first.
    asked
        Recipients of all RCPT TO, the first one first.
    connections
        Number of connections so far.
    """

    answers: dict[str, str] = field(default_factory=dict)
    next_answers: dict[str, list[str]] = field(default_factory=dict)
    content_answers: list[str] = field(default_factory=list)
    dropping: frozenset[str] = frozenset()
    hanging: frozenset[str] = frozenset()
    away: int = 0
    on_recipient: Callable[[], None] | None = None
    received: list[ReceivedMail] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._answers_from = threading.Event()
        self._answers_from.set()
        self._held_from: int | None = None
        self._released = threading.Event()
        self._transports: list[tuple[asyncio.AbstractEventLoop, asyncio.Transport]] = []

    @property
    def recipients(self) -> Counter[str]:
        """Number of e-mails that each recipient got."""
        return Counter(mail.recipient for mail in self.received)

    def has(self, count: int) -> bool:
        """Return whether the server accepted at least this many e-mails."""
        return len(self.received) >= count

    def hold_from(self, count: int) -> None:
        """Leave contents without an answer after this many e-mails, until :meth:`release`."""
        self._held_from = count
        self._answers_from.clear()

    def release(self) -> None:
        """Answer everything that waits for an answer."""
        self._held_from = None
        self._answers_from.set()
        self._released.set()

    def close_connections(self) -> None:
        """Close all connections that are open."""
        closed = threading.Event()
        for loop, transport in self._transports:
            loop.call_soon_threadsafe(transport.close)
            loop.call_soon_threadsafe(closed.set)
        assert closed.wait(10)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Count the connection."""
        self.connections += 1
        self._transports.append((asyncio.get_running_loop(), server.transport))
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Answer MAIL FROM."""
        if self.away:
            self.away -= 1
            return "421 going away"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        self.asked.append(address)
        if self.on_recipient is not None:
            self.on_recipient()
        next_answers = self.next_answers.get(address)
        if next_answers:
            return next_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer the content."""
        recipient = envelope.rcpt_tos[0]
        if self.content_answers:
            return self.content_answers.pop(0)
        if recipient in self.hanging:
            await asyncio.to_thread(self._released.wait)
        self.received.append(ReceivedMail(envelope.mail_from, recipient, envelope.content))
        if recipient in self.dropping:
            server.transport.abort()
        if self._held_from is not None and len(self.received) > self._held_from:
            await asyncio.to_thread(self._answers_from.wait)
        return "250 queued as 7"


_H = TypeVar("_H", bound=FakeMailServer)


@contextmanager
def serving(server: _H, port: int, **options: Any) -> Iterator[_H]:
    """Serve on loopback until the end of the block."""
    controller = Controller(server, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield server
    finally:
        server.release()
        controller.stop()


def smtp_section(port: int, **changed: Any) -> SmtpSection:
    """Make the settings of a server on loopback without encryption."""
    return SmtpSection(**{"host": "127.0.0.1", "port": port, "tls": "none", "sender": SENDER, **changed})


def live_mail(port: int, outbox: Path, **changed: Any) -> DeliverySettings:
    """Make settings that send live e-mail to a server on loopback; ``changed`` are fields of its section."""
    return DeliverySettings(
        DeliverySection(mode="live", smtp=smtp_section(port, **changed)),
        outbox=outbox,
        public_url="https://events.example.com",
        unsubscribe_keys=(KEY,),
    )


def outbox_only(outbox: Path, mode: Mode = "outbox") -> DeliverySettings:
    """Make settings without a provider."""
    return DeliverySettings(DeliverySection(mode=mode), outbox=outbox, public_url="https://events.example.com")
