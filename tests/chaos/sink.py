"""A real SMTP server that counts every message id, and whose behaviour can be changed."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, TypeVar

from aiosmtpd.controller import Controller

from tests.chaos.lives import now_ms

Mood = Literal["take", "refuse", "later", "hang", "drop"]
"""Behaviour of the server. ``take``: 250. ``refuse``: 550. ``later``: 451. ``hang``: no answer until the mood changes,
then 250. ``drop``: the content is accepted, and the connection is lost before the answer.
"""

MAX_DEAD = 5
DEAD_EVERY_MS = 1_000
DEAD_FROM = 100
"""Number of e-mails taken before the first address dies; a few bounces among few attempts would look like a storm."""

_LINK = re.compile(rb"^List-Unsubscribe:\s+<([^>]+)>", re.MULTILINE | re.IGNORECASE)
_MESSAGE_ID = re.compile(rb"^Message-ID: <([^@>]+)@", re.MULTILINE | re.IGNORECASE)


class Handed(NamedTuple):
    """An e-mail that the server received, or a recipient that it refused before the e-mail's content came.

    Attributes
    ----------
    at
        Time in milliseconds of the wall clock.
    address
        Address of the recipient.
    is_marketing
        Whether the e-mail has an unsubscribe link.
    message
        Id of the message; empty if the recipient was refused before the content came.
    """

    at: int
    address: str
    is_marketing: bool
    message: str


class Sink:
    """Mail server of a round, with a record of everything that it got.

    Attributes
    ----------
    taken
        Number of times that each message was accepted, with or without an answer.
    dropped
        Messages that were accepted on a connection that was then lost.
    refused
        Number of times that each message was refused.
    mood
        Current behaviour; see :data:`Mood`.
    handed
        Every e-mail that the server received, and every recipient that it refused.
    links
        The newest unsubscribe link by address.
    dead
        Addresses that no longer exist: from some moment on, their recipients are refused with 550 5.1.1.
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.dropped: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.mood: Mood = "take"
        self.handed: list[Handed] = []
        self.links: dict[str, str] = {}
        self.dead: set[str] = set()
        self._known: set[str] = set()
        self._died_at = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.dead or self._dies(address):
            self.handed.append(Handed(now_ms(), address, is_marketing=False, message=""))
            return "550 5.1.1 the address is gone"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def _dies(self, address: str) -> bool:
        """Decide whether an address dies now; only one that already got an e-mail may die."""
        now = now_ms()
        if len(self.dead) >= MAX_DEAD or self.taken.total() < DEAD_FROM or now < self._died_at + DEAD_EVERY_MS:
            return False
        if self.mood != "take" or address not in self._known:
            return False
        self._died_at = now
        self.dead.add(address)
        return True

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        found = _MESSAGE_ID.search(envelope.content)
        assert found is not None, "an e-mail without a Message-ID"
        message = found[1].decode()
        to, link = envelope.rcpt_tos[0], _LINK.search(envelope.content)
        self.handed.append(Handed(now_ms(), to, is_marketing=link is not None, message=message))
        self._known.add(to)
        if link is not None:
            self.links[to] = "".join(link[1].decode().split())
        mood = self.mood
        if mood == "refuse":
            self.refused[message] += 1
            return "550 not here"
        if mood == "later":
            self.refused[message] += 1
            return "451 not now"
        while self.mood == "hang":  # noqa: ASYNC110 - another thread sets the mood
            await asyncio.sleep(0.05)
        self.taken[message] += 1
        if mood == "drop":
            self.dropped.add(message)
            server.transport.abort()
        return "250 taken"


_S = TypeVar("_S", bound=Sink)


@contextmanager
def listening(port: int, sink: _S) -> Iterator[_S]:
    """Serve in a separate thread."""
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
