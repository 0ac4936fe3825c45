"""A server that speaks FCM's HTTP v1 API and gives access tokens as Google does, in tests."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from models.delivery.messages import Message
from stream.delivery.google_tokens import GRANT, SCOPE, ServiceAccount
from stream.settings.fields import Secret
from stream.settings.push_schema import FcmSection
from tests.support.letters import letter

PROJECT = "shop-4711"
EMAIL = "sender@shop-4711.iam.gserviceaccount.com"
KEY_ID = "0a1b2c3d"
LIMIT_BYTES = 4096
_FIELDS = {"token", "notification", "data", "android", "webpush", "apns"}
_RESERVED = ("from", "message_type", "google", "gcm")


def device(number: int = 0) -> str:
    """Return the token of a device."""
    return f"dev{number}:APA91b" + "Hun4MxP5egoKMwt2KZFBaFUH" * 5


def push_message(number: int = 0, **changed: object) -> Message:
    """Make a live marketing message to a device."""
    made = letter(number, to=device(number), subject="Grüße, Ada", text=f"Hello Ada {number}\n", html=None)
    return msgspec.structs.replace(made, **changed)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return the key of the service account, the same in all tests."""
    return rsa.generate_private_key(65537, 2048)


def pem_of(key: Any) -> str:
    """Write a private key in PEM."""
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@dataclass(frozen=True)
class FcmAnswer:
    """An answer of the server."""

    status: int
    content: dict[str, Any] | str = ""
    headers: dict[str, str] = field(default_factory=dict)


def fcm_error(status: int, code: str, *, general: str = "", field_name: str = "", message: str = "no") -> FcmAnswer:
    """Make an error as FCM writes it, with its own code and perhaps the field that is wrong."""
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if field_name:
        violation = {"field": field_name, "description": "wrong"}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    error = {"code": status, "message": message, "status": general or code, "details": details}
    return FcmAnswer(status, {"error": error})


@dataclass
class FakeFcm:
    """A server with the API of FCM, and with the answers that the test sets.

    Attributes
    ----------
    answers
        Answers to the next messages to a device, one after the other; then messages are accepted.
    token_answers
        Answers to the next requests of an access token; then they are given.
    life_s
        Life of an access token.
    dropping
        Devices whose connection is dropped, although the message is accepted.
    hanging
        Devices whose messages stay without an answer until the server ends; ``*`` means the access tokens.
    url
        URL of the server.
    sent
        Accepted messages, the first one first.
    asked
        Number of requests by device.
    tokens
        Access tokens that are valid, with the time of their end by ``time.monotonic``.
    given
        Number of access tokens that were given.
    refused_logins
        Reasons for which a request of an access token was refused.
    """

    answers: dict[str, list[FcmAnswer]] = field(default_factory=dict)
    token_answers: list[FcmAnswer] = field(default_factory=list)
    life_s: float = 3599
    dropping: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    url: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    tokens: dict[str, float] = field(default_factory=dict)
    given: int = 0
    refused_logins: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def account(self) -> ServiceAccount:
        """The service account whose access tokens come from this server."""
        return ServiceAccount(PROJECT, EMAIL, KEY_ID, pem_of(rsa_key()), f"{self.url}/token")

    @property
    def section(self) -> FcmSection:
        """Settings of the project at this server."""
        return FcmSection(service_account=Secret(env="FCM"), base_url=self.url)

    async def give_token(self, request: web.Request) -> web.Response:
        """Give an access token to a request that the service account has signed."""
        form = await request.post()
        if "*" in self.hanging:
            await self.ended.wait()
        if self.token_answers:
            return _response(self.token_answers.pop(0))
        refused = self._login_problem(dict(form))
        if refused:
            self.refused_logins.append(refused)
            return _response(FcmAnswer(400, {"error": "invalid_grant", "error_description": refused}))
        token = "ya29." + secrets.token_urlsafe(32)
        self.tokens[token] = time.monotonic() + self.life_s
        self.given += 1
        return web.json_response({"access_token": token, "expires_in": self.life_s, "token_type": "Bearer"})

    async def send(self, request: web.Request) -> web.Response:
        """Take a message."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or self.tokens.get(token, 0.0) <= time.monotonic():
            return _response(fcm_error(401, "", general="UNAUTHENTICATED", message="invalid credentials"))
        if request.match_info["project"] != PROJECT:
            return _response(fcm_error(403, "", general="PERMISSION_DENIED"))
        message = (await request.json())["message"]
        to = message["token"]
        self.asked[to] += 1
        if to in self.hanging:
            await self.ended.wait()
        if self.answers.get(to):
            return _response(self.answers[to].pop(0))
        problem = _problem(message)
        if problem:
            return _response(fcm_error(400, "INVALID_ARGUMENT", field_name=problem))
        self.sent.append(message)
        if to in self.dropping:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"name": f"projects/{PROJECT}/messages/0:{len(self.sent)}"})

    def _login_problem(self, form: dict[str, Any]) -> str:
        if form.get("grant_type") != GRANT:
            return "unsupported grant_type"
        assertion = str(form.get("assertion", ""))
        try:
            header = jwt.get_unverified_header(assertion)
            required = ["exp", "iat", "iss", "aud"]
            claims = jwt.decode(
                assertion,
                rsa_key().public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/token",
                issuer=EMAIL,
                options={"require": required},
            )
        except jwt.InvalidTokenError as error:
            return f"{type(error).__name__}: {error}"
        if header.get("kid") != KEY_ID or claims.get("scope") != SCOPE:
            return "unknown key or scope"
        return "" if claims["exp"] - claims["iat"] <= 3600 else "it is valid for over an hour"


def _problem(message: dict[str, Any]) -> str:
    """Return the field of a message that FCM would refuse; an empty text if there is none."""
    unknown = set(message) - _FIELDS
    if unknown:
        return f"message.{min(unknown)}"
    data = message.get("data", {})
    if any(not isinstance(text, str) or name.startswith(_RESERVED) for name, text in data.items()):
        return "message.data"
    texts = [*message["notification"].items(), *data.items()]
    if sum(len(name.encode()) + len(text.encode()) for name, text in texts) > LIMIT_BYTES:
        return "message"
    ttl = message["android"]["ttl"]
    if not ttl.endswith("s") or not 0 <= float(ttl[:-1]) <= 2_419_200:
        return "message.android.ttl"
    apple = message["apns"]["headers"]
    if len(apple["apns-collapse-id"]) > 64 or not apple["apns-expiration"].isdigit():
        return "message.apns.headers"
    return ""


def _response(answer: FcmAnswer) -> web.Response:
    if isinstance(answer.content, str):
        return web.Response(text=answer.content, status=answer.status, headers=answer.headers)
    return web.json_response(answer.content, status=answer.status, headers=answer.headers)


@asynccontextmanager
async def serving_fcm(fake: FakeFcm, port: int | None = None) -> AsyncIterator[FakeFcm]:
    """Serve on loopback until the end of the block."""
    application = web.Application()
    application.router.add_post("/token", fake.give_token)
    application.router.add_post("/v1/projects/{project}/messages:send", fake.send)
    server = TestServer(application, port=port)
    await server.start_server()
    fake.url = str(server.make_url("")).rstrip("/")
    try:
        yield fake
    finally:
        fake.ended.set()
        await server.close()


def write_account(fake: FakeFcm, path: Path) -> None:
    """Write the file of the service account, as Google's console does."""
    fields = {"type": "service_account", **msgspec.to_builtins(fake.account)}
    path.write_bytes(msgspec.json.encode(fields))
