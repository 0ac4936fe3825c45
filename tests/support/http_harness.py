"""The harness of a provider that makes one HTTP request for a message, against a server that a check can instruct."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.events import Channel
from stream.delivery.provider import LastCheck, Provider, allow
from tests.support.channel_harness import ChannelHarness
from tests.support.letters import LINK
from tests.support.processes import await_true


class InstructedServer(Protocol):
    """A server with instructions by recipient.

    Attributes
    ----------
    answers
        The next answers to requests for a recipient, in their order.
    dropping, hanging
        Recipients whose requests are taken without an answer: the connection is closed, or stays open.
    """

    answers: dict[str, list[Any]]
    dropping: set[str]
    hanging: set[str]

    @property
    def asked(self) -> Counter[str]:
        """Number of requests for each recipient."""


class HttpHarness(ChannelHarness):
    """A provider, and the server that it calls.

    Parameters
    ----------
    channel
        Channel of the provider.
    server, provider
        The server and the provider.
    too_many
        The server's answer that there were too many requests.
    """

    def __init__(self, channel: Channel, server: InstructedServer, provider: Provider, too_many: object) -> None:
        super().__init__(channel)
        self._instructed = server
        self._provider = provider
        self._too_many = too_many

    def recipient(self, message: Message) -> str:
        """Return the name by which the server knows a message's recipient."""
        return message.to

    async def deliver(self, message: Message, last_check: LastCheck = allow) -> Result:
        """Send a message."""
        return await self._provider.deliver(message, unsubscribe=LINK, last_check=last_check)

    @asynccontextmanager
    async def refusing(self, message: Message) -> AsyncIterator[None]:
        """Answer that there were too many requests."""
        self._instructed.answers[self.recipient(message)] = [self._too_many]
        yield
        self._instructed.answers.clear()

    def dropping(self, message: Message) -> None:
        """Make the server take the request and drop the connection."""
        self._instructed.dropping = {self.recipient(message)}

    @asynccontextmanager
    async def hanging(self, message: Message) -> AsyncIterator[None]:
        """Leave requests for this recipient without an answer."""
        self._instructed.hanging = {self.recipient(message)}
        yield
        self._instructed.hanging = set()

    async def reached(self, message: Message) -> None:
        """Wait until the server has the request."""
        recipient = self.recipient(message)
        await asyncio.to_thread(await_true, lambda: recipient in self._instructed.asked, 10)
