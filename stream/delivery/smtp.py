"""E-mail over SMTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.errors import MessageError
from typing import NamedTuple

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from models.delivery.bounces import Stage, enhanced_code, of_smtp
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.durations import milliseconds
from models.units import SECOND
from stream.delivery import mime
from stream.delivery.provider import CannotBeAsked, LastCheck, allow
from stream.delivery.signing import MailSigner
from stream.settings.mail_schema import SmtpSection

_GOES_AWAY = 421
_NO_ANSWER = -1
"""Code that aiosmtplib gives to a line that is not an answer of SMTP."""


class Smtp(CannotBeAsked):
    """A provider of e-mail: a mail server, with connections that are kept and reused.

    Each step of the conversation is made here, because the meaning of a failure depends on its step. If the
    content was not sent, the server cannot have accepted it. If no answer follows the content, the outcome is unknown.

    Parameters
    ----------
    section
        Settings of the server.
    password
        The password, if the server asks for one.
    signer
        Signs each e-mail (DKIM); ``None`` if it is not signed here.
    tls
        Certificate authorities to trust, instead of those of the system.
    timeout_s
        Maximum time of each step of the conversation, seconds; by default, the section's.
    """

    def __init__(
        self,
        section: SmtpSection,
        password: str | None = None,
        *,
        signer: MailSigner | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self._section = section
        self._password = password
        self._signer = signer
        self._tls = tls
        self._timeout_s = milliseconds(section.timeout) / SECOND if timeout_s is None else timeout_s
        self._slots = asyncio.Semaphore(section.connections)
        self._idle: list[aiosmtplib.SMTP] = []

    def __repr__(self) -> str:
        return f"<Smtp {self._section.host}:{self._section.port}, {len(self._idle)} idle connections>"

    @property
    def max_concurrency(self) -> int:
        """Number of connections, because each has one conversation at a time."""
        return self._section.connections

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_check: LastCheck = allow) -> Result:
        """Hand one e-mail over."""
        try:
            mail = mime.build(
                message, sender=self._section.sender, unsubscribe=unsubscribe, reply_to=self._section.reply_to
            )
            content = mail.as_bytes() if self._signer is None else self._signer.signed(mail.as_bytes())
        except (ValueError, IndexError, MessageError) as error:
            return Result("rejected", f"it cannot be written as an e-mail: {error}")
        try:
            async with self._connection() as client:
                envelope = _Envelope(mime.address_of(self._section.sender), message.to, content)
                return await _converse(client, envelope, last_check)
        except (SMTPException, OSError) as error:
            # No connection, no TLS or no login: nothing of this message has reached the server.
            return Result("failed", f"{type(error).__name__}: {error}", trouble=True)

    async def close(self) -> None:
        """Close all connections."""
        while self._idle:
            await _quit(self._idle.pop())

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        async with self._slots:
            client = await self._alive() or await self._connect()
            try:
                yield client
            except BaseException:
                client.close()  # a late answer to this command would be read as the answer to the next
                raise
            if client.is_connected:
                self._idle.append(client)

    async def _alive(self) -> aiosmtplib.SMTP | None:
        """Return an idle connection that still answers RSET, which also clears earlier messages; otherwise ``None``."""
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
        section = self._section
        client = aiosmtplib.SMTP(
            hostname=section.host,
            port=section.port,
            timeout=self._timeout_s,
            use_tls=section.tls == "tls",
            start_tls=section.tls == "starttls",
            tls_context=self._tls,
            username=section.username,
            password=self._password,
        )
        await client.connect()
        return client


class _Envelope(NamedTuple):
    """Sender and recipient, and the content."""

    sender: str
    recipient: str
    content: bytes


async def _converse(client: aiosmtplib.SMTP, envelope: _Envelope, last_check: LastCheck) -> Result:
    stage: Stage = "sender"
    try:
        await client.mail(envelope.sender)
        stage = "recipient"
        await client.rcpt(envelope.recipient)
    except SMTPResponseException as error:
        if not 400 <= error.code < 600:  # the line is no answer, so the next line would not be one either
            client.close()
        return _refused(error, stage)
    except (SMTPException, OSError, UnicodeEncodeError) as error:
        client.close()
        return Result("failed", f"{type(error).__name__}: {error}", trouble=not isinstance(error, UnicodeEncodeError))
    # Connecting and the first answers may have taken a while, so check again before the content is sent.
    stopped = last_check()
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
    # 5xx: the server will never accept the message. 4xx, or a line without meaning: the server may accept it later.
    # 421: the server closes the connection, for any recipient.
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
        client.close()  # the connection ends in any case
