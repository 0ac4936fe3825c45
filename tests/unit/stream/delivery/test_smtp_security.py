"""Encryption and login of the SMTP provider, against a real server on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from stream.delivery.smtp import Smtp
from tests.support.certificates import contexts
from tests.support.letters import LINK, letter
from tests.support.mail import FakeMailServer, serving, smtp_section

Start = Callable[..., object]


@pytest.fixture
def server() -> FakeMailServer:
    """A mail server that is not started yet."""
    return FakeMailServer()


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS context of the server, and that of a client that trusts the server."""
    return contexts(tmp_path)


@pytest.fixture
def start(server: FakeMailServer, unused_tcp_port: int) -> Iterator[Start]:
    """A function that starts the server."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(server, unused_tcp_port, **options))


def _login(server: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword) -> AuthResult:
    # not handled: the server itself answers 535 to a wrong password
    return AuthResult(success=given.login == b"shop" and given.password == b"secret", handled=False)


def open_smtp(port: int, client: ssl.SSLContext | None, password: str | None = None, **changed: Any) -> Smtp:
    return Smtp(smtp_section(port, **{"tls": "starttls", **changed}), password, tls=client, timeout_s=5.0)


async def test_an_e_mail_is_sent_after_starttls_and_a_login(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], server: FakeMailServer, unused_tcp_port: int
) -> None:
    start(tls_context=tls[0], require_starttls=True, auth_required=True, authenticator=_login)
    smtp = open_smtp(unused_tcp_port, tls[1], "secret", username="shop")

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, len(server.received)) == ("delivered", 1)


async def test_an_e_mail_is_sent_with_tls_from_the_first_byte(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], server: FakeMailServer, unused_tcp_port: int
) -> None:
    start(ssl_context=tls[0])
    smtp = open_smtp(unused_tcp_port, tls[1], tls="tls")

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, len(server.received)) == ("delivered", 1)


async def test_a_server_without_a_trusted_certificate_gets_nothing(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], server: FakeMailServer, unused_tcp_port: int
) -> None:
    start(tls_context=tls[0], require_starttls=True)

    result = await open_smtp(unused_tcp_port, None).deliver(letter(), unsubscribe=LINK)

    assert (result.status, server.received) == ("failed", [])
    assert "certificate" in result.detail.lower()


async def test_a_wrong_password_is_not_the_recipients_fault(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], server: FakeMailServer, unused_tcp_port: int
) -> None:
    start(tls_context=tls[0], require_starttls=True, auth_required=True, authenticator=_login)

    result = await open_smtp(unused_tcp_port, tls[1], "wrong", username="shop").deliver(letter(), unsubscribe=LINK)

    assert (result.status, server.received) == ("failed", [])
    assert "535" in result.detail
    assert "wrong" not in result.detail
    assert (result.trouble, result.bounce) == (True, "")
