"""The SMTP provider against a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from stream.delivery.smtp import Smtp
from tests.support.letters import LINK, letter
from tests.support.mail import FakeMailServer, serving, smtp_section


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    """The port of the mail server; without the fixture ``server``, no server listens there."""
    return unused_tcp_port


@pytest.fixture
def server(port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), port) as served:
        yield served


def open_smtp(port: int, **changed: Any) -> Smtp:
    return Smtp(smtp_section(port, **changed), timeout_s=2.0)


async def test_an_e_mail_arrives_as_it_was_written(server: FakeMailServer, port: int) -> None:
    smtp = open_smtp(port)

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, result.detail) == ("delivered", "queued as 7")
    ((sender, recipient, content),) = server.received
    assert (sender, recipient) == ("hello@shop.example", "u0@example.com")
    mail = message_from_bytes(content, policy=default)
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == letter().text
    assert mail["List-Unsubscribe"] == f"<{LINK}>"


async def test_connections_are_reused(server: FakeMailServer, port: int) -> None:
    smtp = open_smtp(port, connections=1)

    for i in range(3):
        assert (await smtp.deliver(letter(i), unsubscribe=LINK)).status == "delivered"
    await smtp.close()

    assert server.connections == 1


async def test_no_more_connections_than_allowed_are_open(server: FakeMailServer, port: int) -> None:
    smtp = open_smtp(port, connections=2)

    results = await asyncio.gather(*(smtp.deliver(letter(i), unsubscribe=LINK) for i in range(10)))
    await smtp.close()

    assert [result.status for result in results] == ["delivered"] * 10
    assert server.connections <= 2


@pytest.mark.parametrize(
    ("answer", "status"), [("550 no such user", "rejected"), ("451 greylisted, try later", "failed")]
)
async def test_a_refused_recipient_affects_no_other(
    server: FakeMailServer, port: int, answer: str, status: str
) -> None:
    server.answers["u1@example.com"] = answer
    smtp = open_smtp(port, connections=1)

    results = [await smtp.deliver(letter(i), unsubscribe=LINK) for i in range(3)]
    await smtp.close()

    assert [result.status for result in results] == ["delivered", status, "delivered"]
    assert results[1].detail == answer


@pytest.mark.parametrize(("answer", "status"), [("554 spam", "rejected"), ("452 disk full", "failed")])
async def test_refused_content_was_not_accepted(server: FakeMailServer, port: int, answer: str, status: str) -> None:
    server.content_answers = [answer]
    smtp = open_smtp(port)

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, result.detail) == (status, answer)


async def test_silence_after_the_content_is_unknown(server: FakeMailServer, port: int) -> None:
    server.dropping = frozenset({letter().to})
    smtp = open_smtp(port)

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert result.status == "unknown"


async def test_a_mail_to_an_unreachable_server_has_failed(port: int) -> None:
    result = await open_smtp(port).deliver(letter(), unsubscribe=LINK)

    assert result.status == "failed"


async def test_nothing_is_sent_to_a_server_without_the_required_encryption(server: FakeMailServer, port: int) -> None:
    result = await open_smtp(port, tls="starttls").deliver(letter(), unsubscribe=LINK)

    assert result.status == "failed"
    assert server.received == []


async def test_a_connection_that_the_server_closed_is_replaced(server: FakeMailServer, port: int) -> None:
    smtp = open_smtp(port, connections=1)
    await smtp.deliver(letter(0), unsubscribe=LINK)
    server.close_connections()  # as a server closes connections that were idle for a long time

    result = await smtp.deliver(letter(1), unsubscribe=LINK)
    await smtp.close()

    assert result.status == "delivered"
    assert len(server.received) == 2


async def test_a_message_that_cannot_be_an_e_mail_is_rejected_without_a_connection(port: int) -> None:
    result = await open_smtp(port).deliver(letter(subject="a\r\nBcc: b@example.com"), unsubscribe=LINK)

    assert result.status == "rejected"


@pytest.mark.parametrize(("step", "status"), [("RCPT", "failed"), ("DATA", "unknown")])
async def test_a_line_that_is_not_an_smtp_answer_does_not_refuse_the_content(
    server: FakeMailServer, port: int, step: str, status: str
) -> None:
    nonsense = "nonsense\x00that is no SMTP"
    if step == "RCPT":
        server.answers["u0@example.com"] = nonsense
    else:
        server.content_answers.append(nonsense)
    smtp = open_smtp(port)

    first = await smtp.deliver(letter(), unsubscribe=LINK)
    server.answers.clear()
    second = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (first.status, first.trouble) == (status, True)
    assert second.status == "delivered"
