"""A server that speaks Twilio's API, in tests."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from stream.delivery.channels import DeliverySettings
from stream.settings.fields import Secret
from stream.settings.schema import DeliverySection, TwilioSection
from tests.support.mail import KEY

SENDER = "+15005550006"


@dataclass(frozen=True)
class TwilioAnswer:
    """An answer of the server."""

    status: int
    content: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeTwilio:
    """A server with Twilio's API and with the answers that the test sets.

    Attributes
    ----------
    answers
        Answers to the next messages to a number, one after the other; then messages are accepted.
    list_answer
        Answer to every look-up; by default, the last accepted message to the number.
    dropping
        Numbers whose connection is dropped, although the message is accepted.
    hanging
        Numbers whose requests stay without an answer until the server ends.
    forms, queries, logins, paths
        Forms, queries, credentials and paths of the requests, the first request first.
    accepted
        Text of the last accepted message to each number.
    sent
        Number of accepted messages to each number.
    """

    answers: dict[str, list[TwilioAnswer]] = field(default_factory=dict)
    list_answer: TwilioAnswer | None = None
    dropping: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    forms: list[dict[str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asked(self) -> Counter[str]:
        """Number of requests to send a message, by number."""
        return Counter(form["To"] for form in self.forms)

    async def post(self, request: web.Request) -> web.Response:
        """Take a message."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self._record(request)
        self.forms.append(form)
        number = form["To"]
        if number in self.hanging:
            await self.ended.wait()
        answers = self.answers.get(number)
        if answers:
            return _response(answers.pop(0))
        self.accepted[number] = form["Body"]
        self.sent[number] += 1
        if number in self.dropping:
            assert request.transport is not None
            request.transport.close()
        return _response(TwilioAnswer(201, {"sid": "SM1", "status": "queued"}))

    async def get(self, request: web.Request) -> web.Response:
        """List the last accepted message to a number."""
        self._record(request)
        self.queries.append(dict(request.query))
        number = request.query["To"]
        if number in self.hanging:
            await self.ended.wait()
        if self.list_answer is not None:
            return _response(self.list_answer)
        listed = {
            "sid": "SM1",
            "to": number,
            "body": self.accepted.get(number),
            "status": "sent",
            "date_created": time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
        }
        return web.json_response({"messages": [listed] if number in self.accepted else []})

    def _record(self, request: web.Request) -> None:
        kind, _, credentials = request.headers["Authorization"].partition(" ")
        assert kind == "Basic"
        self.logins.append(b64decode(credentials).decode())
        self.paths.append(request.path)


def _response(answer: TwilioAnswer) -> web.Response:
    return web.json_response(answer.content, status=answer.status, headers=answer.headers)


@asynccontextmanager
async def serving_twilio(fake: FakeTwilio) -> AsyncIterator[TwilioSection]:
    """Serve on loopback until the end of the block, and yield the settings of an account there."""
    application = web.Application()
    path = "/2010-04-01/Accounts/{account}/Messages.json"
    application.router.add_post(path, fake.post)
    application.router.add_get(path, fake.get)
    server = TestServer(application)
    await server.start_server()
    try:
        yield twilio_section(str(server.make_url("")))
    finally:
        fake.ended.set()
        await server.close()


def twilio_section(base_url: str, **changed: Any) -> TwilioSection:
    """Make the settings of an account; its token is ``secret``."""
    token = Secret(env="TWILIO_TOKEN")
    return TwilioSection(
        **{"account_sid": "AC1", "auth_token": token, "sender": SENDER, "base_url": base_url, **changed}
    )


def live_text_messages(section: TwilioSection, outbox: Path) -> DeliverySettings:
    """Make settings that send live SMS to an account."""
    return DeliverySettings(
        DeliverySection(mode="live", twilio=section),
        outbox=outbox,
        public_url="https://events.example.com",
        unsubscribe_keys=(KEY,),
        twilio_token="secret",
    )
