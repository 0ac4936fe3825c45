"""E-mail over SMTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.errors import MessageError
from typing import NamedTuple

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from models.delivery.bounces import Stage, enhanced_code, of_smtp
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from stream.delivery import mime
from stream.delivery.provider import LastLook, unstopped

_GOES_AWAY = 421
_NO_ANSWER = -1
"""What aiosmtplib calls a line that is no answer of SMTP."""


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How to reach a mail server.

    Attributes
    ----------
    host, port
        Of the server.
    security
        ``tls`` from the first byte (465), ``starttls`` (587; refused where the server does not offer it), ``none``.
    username, password
        Both or neither.
    sender, reply_to
        ``Name <address>``.
    timeout_s
        Of each step of the conversation.
    connections
        Side by side, at most.
    """

    host: str
    port: int = 587
    security: str = "starttls"
    username: str | None = None
    password: str | None = None
    sender: str = ""
    reply_to: str | None = None
    timeout_s: float = 30.0
    connections: int = 16


class Smtp:
    """Delivers e-mail; connections are kept and used again.

    The conversation is led step by step, because what a failure means depends on where it happens: before the content
    was sent nothing can have been accepted, while a silence after it leaves the outcome unknown.

    Parameters
    ----------
    settings
        The server.
    tls
        Instead of the system's certificate authorities.
    """

    def __init__(self, settings: SmtpSettings, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._places = asyncio.Semaphore(settings.connections)
        self._idle: list[aiosmtplib.SMTP] = []

    @property
    def max_concurrency(self) -> int:
        """One conversation on each connection."""
        return self._settings.connections

    @property
    def lookup_delays_ms(self) -> tuple[int, ...]:
        """None: SMTP has no way to ask."""
        return ()

    async def look_up(self, message: Message) -> Result:  # noqa: ARG002 - there is nobody to ask about any
        """Say that nobody can be asked."""
        return Result("unknown", "SMTP has no way to ask")

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_look: LastLook = unstopped) -> Result:
        """Hand one e-mail over."""
        try:
            mail = mime.build(
                message, sender=self._settings.sender, unsubscribe=unsubscribe, reply_to=self._settings.reply_to
            )
            content = mail.as_bytes()
        except (ValueError, IndexError, MessageError) as error:
            return Result("rejected", f"it cannot be written as an e-mail: {error}")
        try:
            async with self._connection() as client:
                envelope = _Envelope(mime.address_of(self._settings.sender), message.to, content)
                return await _converse(client, envelope, last_look)
        except (SMTPException, OSError) as error:
            # no connection, no TLS, no login: nothing was said about this message yet
            return Result("failed", f"{type(error).__name__}: {error}", trouble=True)

    async def close(self) -> None:
        """Say goodbye to the server."""
        while self._idle:
            await _quit(self._idle.pop())

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        async with self._places:
            client = await self._alive() or await self._connect()
            try:
                yield client
            except BaseException:
                client.close()  # amid a command: an answer still to come would be taken for the next one's
                raise
            if client.is_connected:
                self._idle.append(client)

    async def _alive(self) -> aiosmtplib.SMTP | None:
        """Take an idle connection that still answers; RSET also forgets what an earlier message left behind."""
        while self._idle:
            client = self._idle.pop()
            try:
                await client.rset()
            except (SMTPException, OSError):
                client.close()
            else:
                return client
        return None

    async def _connect(self) -> aiosmtplib.SMTP:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            timeout=settings.timeout_s,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls,
            username=settings.username,
            password=settings.password,
        )
        await client.connect()
        return client


class _Envelope(NamedTuple):
    """From whom, to whom, and what."""

    sender: str
    recipient: str
    content: bytes


async def _converse(client: aiosmtplib.SMTP, envelope: _Envelope, last_look: LastLook) -> Result:
    stage: Stage = "sender"
    try:
        await client.mail(envelope.sender)
        stage = "recipient"
        await client.rcpt(envelope.recipient)
    except SMTPResponseException as error:
        if not 400 <= error.code < 600:  # what came is no answer, so what comes next would not be one either
            client.close()
        return _refused(error, stage)
    except (SMTPException, OSError, UnicodeEncodeError) as error:
        client.close()
        return Result("failed", f"{type(error).__name__}: {error}", trouble=not isinstance(error, UnicodeEncodeError))
    # Connecting and the first answers may have taken a while. Nothing is handed over before the content.
    stopped = last_look()
    if stopped is not None:
        return stopped
    try:
        response = await client.data(envelope.content)
    except SMTPResponseException as error:
        if 400 <= error.code < 600:
            return _refused(error, "content")
        client.close()
        return Result("unknown", f"no clear answer after the content: {_one_line(error.message)}", trouble=True)
    except (SMTPException, OSError) as error:
        client.close()
        return Result("unknown", f"no answer after the content: {type(error).__name__}: {error}", trouble=True)
    return Result("delivered", _one_line(response.message), provider_id=_one_line(response.message))


def _refused(error: SMTPResponseException, stage: Stage) -> Result:
    # 5xx: never; 4xx, and what makes no sense: not now. 421 is the server that goes away, whoever the recipient is.
    refused = 500 <= error.code < 600
    return Result(
        "rejected" if refused else "failed",
        f"{error.code} {_one_line(error.message)}",
        trouble=error.code in (_GOES_AWAY, _NO_ANSWER),
        bounce=of_smtp(error.code, error.message, stage),
        code=f"{error.code} {enhanced_code(error.message)}".strip(),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


async def _quit(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit()
    except (SMTPException, OSError):
        client.close()  # it was leaving anyway
