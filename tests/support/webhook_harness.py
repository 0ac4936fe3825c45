"""The harness of webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.delivery.messages import Message
from stream.delivery.provider import Provider
from tests.support.channel_harness import TIMEOUT_S, ChannelHarness, Recorded
from tests.support.http_harness import HttpHarness
from tests.support.webhooks import WebhookReceiver, receiving_webhooks, webhook_message


class WebhookHarness(HttpHarness):
    """Webhooks against a receiver that verifies them."""

    def __init__(self, server: WebhookReceiver, provider: Provider) -> None:
        super().__init__("sms", server, provider, (429, {}))
        self._server = server

    @property
    def drops_repeats(self) -> bool:
        """A receiver drops an id that it knows."""
        return True

    def recorded(self) -> list[Recorded]:
        """Return all messages that were taken."""
        return [Recorded(name, event["data"]["text"].strip()) for name, event in self._server.taken.values()]

    def refused(self) -> Message:
        """Return a message to an endpoint that has ended."""
        message = self.message()
        self._server.answers[message.to] = [(410, {})]
        return message

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
