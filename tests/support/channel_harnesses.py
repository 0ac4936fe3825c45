"""Harnesses of the channels' adapters: each connects an adapter to a real recipient that a check can instruct.

A new provider gets a harness here and an entry in :data:`HARNESSES`. Then ``tests/contracts/test_channels.py`` runs all
checks on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import msgspec

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.events import Channel
from stream.delivery.fcm import Fcm
from stream.delivery.outbox import Outbox
from stream.delivery.provider import LastCheck, Provider, allow
from stream.delivery.push import Push
from stream.delivery.smtp import Smtp
from stream.delivery.twilio import Twilio
from stream.delivery.web_push import WebPush
from tests.support.channel_harness import TIMEOUT_S, ChannelHarness, Recorded
from tests.support.fcm import FakeFcm, device, fcm_error, push_message, serving_fcm
from tests.support.http_harness import HttpHarness
from tests.support.letters import LINK
from tests.support.mail import FakeMailServer, serving, smtp_section
from tests.support.processes import await_true
from tests.support.text_messages import FakeTwilio, TwilioAnswer, serving_twilio
from tests.support.web_push import FakePushService, WebPushAnswer, serving_web_push
from tests.support.webhook_harness import open_webhook_harness


class OutboxHarness(ChannelHarness):
    """The outbox, in a folder."""

    def __init__(self, channel: Channel, folder: Path) -> None:
        super().__init__(channel)
        self._folder = folder / "outbox"
        self._outbox = Outbox(self._folder)

    async def deliver(self, message: Message, last_check: LastCheck = allow) -> Result:
        """Write a file, unless the last check stops it. In the product, the gate makes this check for the outbox."""
        return last_check() or await self._outbox.deliver(message, unsubscribe=LINK, note="a contract")

    def recorded(self) -> list[Recorded]:
        """Read all files."""
        paths = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        return [_of_mail(p.read_bytes()) if p.suffix == ".eml" else _of_json(p.read_bytes()) for p in paths]

    def refused(self) -> Message:
        """Return a message that cannot be written."""
        return self.message(subject="two\r\nlines") if self.channel == "email" else self.message(text="\ud800")

    @asynccontextmanager
    async def refusing(self, message: Message) -> AsyncIterator[None]:
        """Put a file in the place of the folder, so that no message can be written."""
        self._folder.touch()
        yield
        self._folder.unlink()


class SmtpHarness(ChannelHarness):
    """SMTP against aiosmtpd."""

    def __init__(self, server: FakeMailServer, provider: Provider) -> None:
        super().__init__("email")
        self._server = server
        self._provider = provider

    async def deliver(self, message: Message, last_check: LastCheck = allow) -> Result:
        """Send an e-mail."""
        return await self._provider.deliver(message, unsubscribe=LINK, last_check=last_check)

    def recorded(self) -> list[Recorded]:
        """Read all e-mails."""
        return [_of_mail(mail.content) for mail in self._server.received]

    def refused(self) -> Message:
        """Return a message to an unknown recipient."""
        message = self.message(to="stranger@example.com")
        self._server.answers[message.to] = "550 5.1.1 no such user"
        return message

    @asynccontextmanager
    async def refusing(self, message: Message) -> AsyncIterator[None]:
        """Answer with greylisting."""
        self._server.answers[message.to] = "451 4.7.1 greylisted"
        yield
        del self._server.answers[message.to]

    def dropping(self, message: Message) -> None:
        """Make the server drop the connection after the content of the message."""
        self._server.dropping = frozenset({message.to})

    @asynccontextmanager
    async def hanging(self, message: Message) -> AsyncIterator[None]:
        """Leave the content of messages to this recipient without an answer."""
        self._server.hanging = frozenset({message.to})
        yield
        self._server.hanging = frozenset()

    async def reached(self, message: Message) -> None:
        """Wait until the server has received the recipient's address."""
        await asyncio.to_thread(await_true, lambda: message.to in self._server.asked, 10)


class TwilioHarness(HttpHarness):
    """Twilio's API against a server that speaks it."""

    def __init__(self, server: FakeTwilio, provider: Provider) -> None:
        super().__init__("sms", server, provider, TwilioAnswer(429))
        self._server = server

    def recorded(self) -> list[Recorded]:
        """Return all accepted messages."""
        return [Recorded(to, text) for to, text in self._server.accepted.items()]

    def refused(self) -> Message:
        """Return a message to a number that does not exist."""
        message = self.message(to="+4930000")
        self._server.answers[message.to] = [TwilioAnswer(400, {"code": 21211, "message": "invalid To"})]
        return message


class FcmHarness(HttpHarness):
    """FCM's HTTP v1 API against a server that speaks it."""

    def __init__(self, server: FakeFcm, provider: Provider) -> None:
        super().__init__("push", server, provider, fcm_error(429, "QUOTA_EXCEEDED"))
        self._server = server

    def recorded(self) -> list[Recorded]:
        """Return all accepted messages."""
        return [Recorded(sent["token"], sent["notification"]["body"]) for sent in self._server.sent]

    def refused(self) -> Message:
        """Return a message to an app that was removed."""
        message = self.message(to=device(99))
        self._server.answers[message.to] = [fcm_error(404, "UNREGISTERED", general="NOT_FOUND")]
        return message

    def message(self, number: int = 0, **changed: object) -> Message:
        """Make a message to a device."""
        return push_message(number, **changed)


class WebPushHarness(HttpHarness):
    """Web push against a push service with browsers."""

    def __init__(self, service: FakePushService, provider: Provider) -> None:
        super().__init__("push", service, provider, WebPushAnswer(429))
        self._service = service

    def recipient(self, message: Message) -> str:
        """Return the endpoint of the subscription."""
        return str(msgspec.json.decode(message.to)["endpoint"])

    def recorded(self) -> list[Recorded]:
        """Return all messages that a browser has decrypted."""
        sent = self._service.sent
        return [Recorded(self._service.browsers[to].subscription(to), one["notification"]["body"]) for to, one in sent]

    def refused(self) -> Message:
        """Return a message to a subscription that has ended."""
        message = self.message(99)
        self._service.answers[self._service.endpoint(99)] = [WebPushAnswer(410)]
        return message

    def message(self, number: int = 0, **changed: object) -> Message:
        """Make a message to a browser."""
        return self._service.message(number, **changed)


Open = Callable[[Path, int], AbstractAsyncContextManager[ChannelHarness]]
"""Function that opens a harness, given an empty folder and an unused port."""


@asynccontextmanager
async def _outbox_of_email(folder: Path, _: int) -> AsyncIterator[ChannelHarness]:
    yield OutboxHarness("email", folder)


@asynccontextmanager
async def _outbox_of_sms(folder: Path, _: int) -> AsyncIterator[ChannelHarness]:
    yield OutboxHarness("sms", folder)


@asynccontextmanager
async def _outbox_of_push(folder: Path, _: int) -> AsyncIterator[ChannelHarness]:
    yield OutboxHarness("push", folder)


@asynccontextmanager
async def _smtp(_: Path, port: int) -> AsyncIterator[ChannelHarness]:
    with serving(FakeMailServer(), port) as server:
        provider = Smtp(smtp_section(port), timeout_s=TIMEOUT_S)
        yield SmtpHarness(server, provider)
        await provider.close()


@asynccontextmanager
async def _twilio(_: Path, __: int) -> AsyncIterator[ChannelHarness]:
    server = FakeTwilio()
    async with serving_twilio(server) as section:
        provider = Twilio(section, "secret", timeout_s=TIMEOUT_S)
        yield TwilioHarness(server, provider)
        await provider.close()


@asynccontextmanager
async def _fcm(_: Path, __: int) -> AsyncIterator[ChannelHarness]:
    async with serving_fcm(FakeFcm()) as server:
        provider = Push(Fcm(server.section, server.account, timeout_s=TIMEOUT_S), None)
        yield FcmHarness(server, provider)
        await provider.close()


@asynccontextmanager
async def _web_push(folder: Path, _: int) -> AsyncIterator[ChannelHarness]:
    service = FakePushService()
    async with serving_web_push(service, folder) as tls:
        provider = Push(
            None, WebPush(service.section, service.key, outbound=service.outbound(tls), timeout_s=TIMEOUT_S)
        )
        yield WebPushHarness(service, provider)
        await provider.close()


HARNESSES: Mapping[str, Open] = {
    "outbox of email": _outbox_of_email,
    "outbox of sms": _outbox_of_sms,
    "outbox of push": _outbox_of_push,
    "email": _smtp,
    "sms": _twilio,
    "push over FCM": _fcm,
    "webhook": open_webhook_harness,
    "push over web push": _web_push,
}
"""All harnesses by name.

The name of an outbox is ``outbox of`` with the channel. The name of a provider is the channel, and ``over`` with the
provider if the channel has several.
"""
PROVIDERS_TESTED = tuple(name for name in HARNESSES if not name.startswith("outbox of "))
"""Names of the harnesses of providers."""


def _of_mail(content: bytes) -> Recorded:
    mail = message_from_bytes(content, policy=default)
    body = mail.get_body(("plain",))
    assert body is not None
    return Recorded(mail["To"], body.get_content().replace("\r\n", "\n").strip())


def _of_json(content: bytes) -> Recorded:
    fields = msgspec.json.decode(content)
    return Recorded(fields["to"], fields["text"].strip())
