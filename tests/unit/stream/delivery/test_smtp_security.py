"""Encryption and login of the SMTP provider, against a real server on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from stream.delivery.smtp import Smtp, SmtpSettings
from tests.support.certificates import contexts
from tests.support.letters import LINK, letter
from tests.unit.stream.delivery.test_smtp import Mailbox

Start = Callable[..., None]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts(tmp_path)


@pytest.fixture
def start(mailbox: Mailbox, unused_tcp_port: int) -> Iterator[Start]:
    running: list[Controller] = []

    def _start(**options: Any) -> None:
        controller = Controller(mailbox, hostname="127.0.0.1", port=unused_tcp_port, **options)
        controller.start()
        running.append(controller)

    yield _start
    for controller in running:
        controller.stop()


def _login(server: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword) -> AuthResult:
    return AuthResult(success=given.login == b"shop" and given.password == b"secret")


def _smtp(port: int, client: ssl.SSLContext | None, **changed: Any) -> Smtp:
    settings = SmtpSettings("127.0.0.1", port, sender="Shop <hello@shop.example>", timeout_s=5.0, **changed)
    return Smtp(settings, tls=client)


async def test_starttls_and_a_login(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], mailbox: Mailbox, unused_tcp_port: int
) -> None:
    start(tls_context=tls[0], require_starttls=True, auth_required=True, authenticator=_login)
    smtp = _smtp(unused_tcp_port, tls[1], username="shop", password="secret")

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, len(mailbox.taken)) == ("delivered", 1)


async def test_tls_from_the_first_byte(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], mailbox: Mailbox, unused_tcp_port: int
) -> None:
    start(ssl_context=tls[0])
    smtp = _smtp(unused_tcp_port, tls[1], security="tls")

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, len(mailbox.taken)) == ("delivered", 1)


async def test_a_server_that_nobody_vouches_for_gets_nothing(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], mailbox: Mailbox, unused_tcp_port: int
) -> None:
    start(tls_context=tls[0], require_starttls=True)

    result = await _smtp(unused_tcp_port, None).deliver(letter(), unsubscribe=LINK)

    assert (result.status, mailbox.taken) == ("failed", [])
    assert "certificate" in result.detail.lower()


async def test_a_wrong_password_is_not_the_recipients_fault(
    start: Start, tls: tuple[ssl.SSLContext, ssl.SSLContext], mailbox: Mailbox, unused_tcp_port: int
) -> None:
    start(tls_context=tls[0], require_starttls=True, auth_required=True, authenticator=_login)

    result = await _smtp(unused_tcp_port, tls[1], username="shop", password="wrong").deliver(letter(), unsubscribe=LINK)

    assert (result.status, mailbox.taken) == ("failed", [])
    assert "wrong" not in result.detail
