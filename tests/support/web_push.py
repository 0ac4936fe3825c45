"""A push service that speaks RFC 8030, with browsers that decrypt their messages (RFC 8291), in tests."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from models.delivery.messages import Message
from stream.delivery.outbound import Outbound
from stream.delivery.vapid import VapidKey, make_vapid_key
from stream.settings.fields import Secret
from stream.settings.push_schema import WebPushSection
from tests.support.certificates import contexts
from tests.support.fcm import push_message

CONTACT = "mailto:push@shop.example"
LIMIT_BYTES = 4096


@dataclass(frozen=True)
class WebPushAnswer:
    """An answer of the service."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeBrowser:
    """A browser with a subscription.

    Attributes
    ----------
    key, auth
        The private key and the secret of the browser.
    """

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = b"0123456789abcdef"

    def subscription(self, endpoint: str) -> str:
        """Write the subscription as a page gets it."""
        keys = {"p256dh": encoded(point_of(self.key.public_key())), "auth": encoded(self.auth)}
        return msgspec.json.encode({"endpoint": endpoint, "expirationTime": None, "keys": keys}).decode()

    def decrypt(self, content: bytes) -> bytes:
        """Read an encrypted message as section 3.4 of RFC 8291 describes it."""
        salt, length = content[:16], content[20]
        assert int.from_bytes(content[16:20]) >= len(content) - 21 - length, "more than one record"
        sender, record = content[21 : 21 + length], content[21 + length :]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        info = b"WebPush: info\0" + point_of(self.key.public_key()) + sender
        secret = HKDF(hashes.SHA256(), 32, self.auth, info).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert padded.endswith(b"\x02"), "it is not the last record"
        return padded[:-1]


@dataclass
class FakePushService:
    """A push service with one browser for each number, and with the answers that the test sets.

    Attributes
    ----------
    key
        The key of the sender, with which all subscriptions were made.
    answers
        Answers to the next messages to a subscription, one after the other; then messages are accepted.
    taking
        Whether a message that gets one of these answers is kept in spite of it.
    dropping
        Subscriptions whose connection is dropped, although the message is accepted.
    hanging
        Subscriptions whose messages stay without an answer until the service ends.
    url
        URL of the service.
    sent
        Subscription and JSON of the accepted messages, the first one first.
    headers
        Headers of all requests.
    waiting
        Messages that a browser which is offline will get, by subscription and topic.
    asked
        Number of requests by subscription.
    refused
        Reasons for which a request was refused.
    """

    key: VapidKey = field(default_factory=make_vapid_key)
    browsers: dict[str, FakeBrowser] = field(default_factory=dict)
    answers: dict[str, list[WebPushAnswer]] = field(default_factory=dict)
    taking: bool = False
    dropping: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    url: str = ""
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    waiting: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def section(self) -> WebPushSection:
        """Settings of web push that allow this service."""
        return WebPushSection(private_key=Secret(env="VAPID"), contact=CONTACT, hosts=("127.0.0.1",))

    def outbound(self, tls: ssl.SSLContext | None = None) -> Outbound:
        """Return a client that may call this service, although it has a private address."""
        return Outbound([self.url.removeprefix("https://")], tls=tls)

    def endpoint(self, number: int = 0) -> str:
        """Return the URL of a subscription."""
        return f"{self.url}/push/{number}"

    def subscription(self, number: int = 0) -> str:
        """Return the subscription of a browser."""
        endpoint = self.endpoint(number)
        return self.browsers.setdefault(endpoint, FakeBrowser()).subscription(endpoint)

    def message(self, number: int = 0, **changed: object) -> Message:
        """Make a live marketing message to a browser."""
        return push_message(number, **{"to": self.subscription(number), **changed})

    async def take(self, request: web.Request) -> web.Response:
        """Take a message."""
        endpoint = f"{self.url}{request.path}"
        self.asked[endpoint] += 1
        self.headers.append(dict(request.headers))
        content = await request.read()
        if endpoint in self.hanging:
            await self.ended.wait()
        answers = self.answers.get(endpoint)
        answer = answers.pop(0) if answers else None
        if answer is not None and not self.taking:
            return web.Response(status=answer.status, headers=answer.headers, text="as the test says")
        status, why = self._problem(request, content, endpoint)
        if status:
            self.refused.append(why)
            return web.Response(status=status, text=why)
        fields = msgspec.json.decode(self.browsers[endpoint].decrypt(content))
        self.sent.append((endpoint, fields))
        self.waiting[endpoint, request.headers["Topic"]] = fields
        if endpoint in self.dropping:
            assert request.transport is not None
            request.transport.close()
        if answer is not None:
            return web.Response(status=answer.status, headers=answer.headers)
        return web.Response(status=201, headers={"Location": f"{self.url}/message/{len(self.sent)}"})

    def _problem(self, request: web.Request, content: bytes, endpoint: str) -> tuple[int, str]:
        browser, headers = self.browsers.get(endpoint), request.headers
        if browser is None:
            return 404, "no such subscription"
        if len(content) > LIMIT_BYTES:
            return 413, "too long"
        if not headers.get("TTL", "").isdigit() or headers.get("Content-Encoding") != "aes128gcm":
            return 400, "no TTL, or another encoding"
        if headers["Urgency"] not in ("very-low", "low", "normal", "high"):
            return 400, "unknown urgency"
        if not re.fullmatch("[A-Za-z0-9_-]{1,32}", headers["Topic"]):
            return 400, "bad topic"
        try:
            browser.decrypt(content)
        except InvalidTag:
            return 400, "cannot be decrypted"
        return self._signature_problem(headers.get("Authorization", ""))

    def _signature_problem(self, written: str) -> tuple[int, str]:
        found = re.fullmatch(r"vapid t=([^,\s]+), k=([A-Za-z0-9_-]+)", written)
        if found is None:
            return 401, "no signature"
        token, public = found.groups()
        if public != self.key.public_text:
            return 403, "the key is not that of the subscription"
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(public))
        required = ["aud", "exp", "sub"]
        try:
            claims = jwt.decode(token, point, algorithms=["ES256"], audience=self.url, options={"require": required})
        except jwt.InvalidTokenError as error:
            return 403, f"{type(error).__name__}: {error}"
        if claims["exp"] > time.time() + 86_400 or not claims["sub"].startswith(("mailto:", "https:")):
            return 403, "valid for too long, or without contact"
        return 0, ""


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Write a public key as a point that is not compressed."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encoded(content: bytes) -> str:
    """Write bytes in base64url."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Read base64url."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@asynccontextmanager
async def serving_web_push(service: FakePushService, folder: Path) -> AsyncIterator[ssl.SSLContext]:
    """Serve over TLS on loopback until the end of the block, and yield the context of a client that trusts the service.

    Parameters
    ----------
    service
        The service.
    folder
        Folder for the certificate.
    """
    server_tls, client_tls = contexts(folder)
    application = web.Application()
    application.router.add_post("/push/{number}", service.take)
    server = TestServer(application, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=server_tls)
    service.url = str(server.make_url("")).rstrip("/")
    try:
        yield client_tls
    finally:
        service.ended.set()
        await server.close()
