"""A receiver of webhooks that verifies them with the official package, in tests."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook, WebhookVerificationError

from models.delivery.messages import Message
from models.delivery.standard_webhooks import PREFIX, read_key
from stream.delivery.outbound import Outbound
from stream.delivery.webhook import WebhookEndpoint, Webhooks
from tests.support.letters import letter

SECRET = PREFIX + b64encode(b"k" * 32).decode()
ENDPOINTS = tuple(f"crm_{number}" for number in range(12))


def webhook_message(number: int = 0, **changed: object) -> Message:
    """Make a live marketing message to an endpoint."""
    made = letter(number, to=ENDPOINTS[number], subject="Grüße", text=f"Hello Ada {number}\n", html=None)
    return msgspec.structs.replace(made, **changed)


@dataclass
class WebhookReceiver:
    """A receiver whose endpoints are the paths of its URL; it drops an id that it knows.

    Attributes
    ----------
    secret
        The secret that it verifies with.
    answers
        Answers to the next requests to an endpoint: status and headers.
    dropping, hanging
        Endpoints whose connection is dropped after the message was taken, and those that never answer.
    url
        URL of the server.
    taken
        Content by id.
    asked
        Number of requests by endpoint.
    headers
        Headers of all requests, with their bodies.
    refused
        Number of requests whose signature was wrong.
    """

    secret: str = SECRET
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    dropping: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    url: str = ""
    taken: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Verify and take a message."""
        name, content = request.match_info["name"], await request.read()
        self.headers.append((dict(request.headers), content))
        self.asked[name] += 1
        if name in self.hanging:
            await self.ended.wait()
        if self.answers.get(name):
            status, headers = self.answers[name].pop(0)
            return web.Response(status=status, headers=headers)
        try:
            event = Webhook(self.secret).verify(content, dict(request.headers))
        except WebhookVerificationError:
            self.refused += 1
            return web.Response(status=401)
        self.taken.setdefault(request.headers["webhook-id"], (name, event))
        if name in self.dropping:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=204)

    def provider(self, *secrets: str, timeout_s: float = 15.0, number: int = len(ENDPOINTS)) -> Webhooks:
        """Return a provider with this number of endpoints at the server."""
        keys = tuple(map(read_key, secrets or (self.secret,)))
        endpoints = {name: WebhookEndpoint(f"{self.url}/{name}", keys) for name in ENDPOINTS[:number]}
        return Webhooks(endpoints, Outbound([self.url]), timeout_s=timeout_s)


@asynccontextmanager
async def receiving_webhooks(receiver: WebhookReceiver) -> AsyncIterator[WebhookReceiver]:
    """Serve on loopback until the end of the block."""
    application = web.Application()
    application.router.add_post("/{name}", receiver.take)
    server = TestServer(application)
    await server.start_server()
    receiver.url = str(server.make_url("")).rstrip("/")
    try:
        yield receiver
    finally:
        receiver.ended.set()
        await server.close()
