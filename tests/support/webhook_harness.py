"""The harness of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from stream.delivery.provider import LastCheck, Provider, allow
from tests.support.channel_harness import TIMEOUT_S, ChannelHarness, Recorded
from tests.support.letters import LINK
from tests.support.processes import await_true
from tests.support.webhooks import WebhookReceiver, receiving_webhooks, webhook_message


class WebhookHarness(ChannelHarness):
    """Webhooks against a receiver that verifies them."""

    def __init__(self, server: WebhookReceiver, provider: Provider) -> None:
        super().__init__("sms")
        self._server = server
        self._provider = provider

    @property
    def drops_repeats(self) -> bool:
        """A receiver drops an id that it knows."""
        return True

    async def deliver(self, message: Message, last_check: LastCheck = allow) -> Result:
        """Send a webhook."""
        return await self._provider.deliver(message, unsubscribe=LINK, last_check=last_check)

    def recorded(self) -> list[Recorded]:
        """Return all messages that were taken."""
        return [Recorded(name, event["data"]["text"].strip()) for name, event in self._server.taken.values()]

    def refused(self) -> Message:
        """Return a message to an endpoint that has ended."""
        message = self.message()
        self._server.answers[message.to] = [(410, {})]
        return message

    @asynccontextmanager
    async def refusing(self, message: Message) -> AsyncIterator[None]:
        """Answer that there were too many requests."""
        self._server.answers[message.to] = [(429, {})]
        yield
        self._server.answers.clear()

    def dropping(self, message: Message) -> None:
        """Make the receiver take the request and drop the connection."""
        self._server.dropping = {message.to}

    @asynccontextmanager
    async def hanging(self, message: Message) -> AsyncIterator[None]:
        """Leave requests to this endpoint without an answer."""
        self._server.hanging = {message.to}
        yield
        self._server.hanging = set()

    async def reached(self, message: Message) -> None:
        """Wait until the receiver has the request."""
        await asyncio.to_thread(await_true, lambda: message.to in self._server.asked, 10)

    def message(self, number: int = 0, **changed: object) -> Message:
        """Make a message to an endpoint."""
        return webhook_message(number, **changed)


@asynccontextmanager
async def open_webhook_harness(_: Path, __: int) -> AsyncIterator[ChannelHarness]:
    """Open the harness."""
    async with receiving_webhooks(WebhookReceiver()) as server:
        provider = server.provider(timeout_s=TIMEOUT_S)
        yield WebhookHarness(server, provider)
        await provider.close()
