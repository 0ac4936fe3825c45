"""The SMTP provider against a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from stream.delivery.smtp import Smtp, SmtpSettings
from tests.support.letters import LINK, letter


@dataclass
class Mailbox:
    """What the server does with mail: answers by recipient, and the envelopes that it took."""

    answers: dict[str, str] = field(default_factory=dict)
    data_answers: list[str] = field(default_factory=list)
    taken: list[tuple[str, str, bytes]] = field(default_factory=list)
    connections: int = 0
    hang_up_after_content: bool = False

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.hang_up_after_content:
            server.transport.abort()
            return "250 nobody hears this"
        if self.data_answers:
            return self.data_answers.pop(0)
        self.taken.append((envelope.mail_from, envelope.rcpt_tos[0], envelope.content))
        return "250 queued as 7"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def port(mailbox: Mailbox, unused_tcp_port: int) -> Iterator[int]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    try:
        yield unused_tcp_port
    finally:
        controller.stop()


def _smtp(port: int, **changed: Any) -> Smtp:
    options = {"security": "none", "sender": "Shop <hello@shop.example>", "timeout_s": 2.0, **changed}
    return Smtp(SmtpSettings("127.0.0.1", port, **options))


async def test_an_e_mail_arrives_as_it_was_written(mailbox: Mailbox, port: int) -> None:
    smtp = _smtp(port)

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, result.detail) == ("delivered", "queued as 7")
    ((sender, recipient, content),) = mailbox.taken
    assert (sender, recipient) == ("hello@shop.example", "u0@example.com")
    mail = message_from_bytes(content, policy=default)
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == letter().text
    assert mail["List-Unsubscribe"] == f"<{LINK}>"


async def test_connections_are_used_again(mailbox: Mailbox, port: int) -> None:
    smtp = _smtp(port, connections=1)

    for i in range(3):
        assert (await smtp.deliver(letter(i), unsubscribe=LINK)).status == "delivered"
    await smtp.close()

    assert mailbox.connections == 1


async def test_no_more_connections_than_allowed_are_open(mailbox: Mailbox, port: int) -> None:
    smtp = _smtp(port, connections=2)

    results = await asyncio.gather(*(smtp.deliver(letter(i), unsubscribe=LINK) for i in range(10)))
    await smtp.close()

    assert [result.status for result in results] == ["delivered"] * 10
    assert mailbox.connections <= 2


@pytest.mark.parametrize(
    ("answer", "status"), [("550 no such user", "rejected"), ("451 greylisted, try later", "failed")]
)
async def test_a_recipient_that_is_refused_disturbs_no_other(
    mailbox: Mailbox, port: int, answer: str, status: str
) -> None:
    mailbox.answers["u1@example.com"] = answer
    smtp = _smtp(port, connections=1)

    results = [await smtp.deliver(letter(i), unsubscribe=LINK) for i in range(3)]
    await smtp.close()

    assert [result.status for result in results] == ["delivered", status, "delivered"]
    assert results[1].detail == answer


@pytest.mark.parametrize(("answer", "status"), [("554 spam", "rejected"), ("452 disk full", "failed")])
async def test_content_that_is_refused_was_not_accepted(mailbox: Mailbox, port: int, answer: str, status: str) -> None:
    mailbox.data_answers = [answer]
    smtp = _smtp(port)

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (result.status, result.detail) == (status, answer)


async def test_silence_after_the_content_is_unknown(mailbox: Mailbox, port: int) -> None:
    mailbox.hang_up_after_content = True
    smtp = _smtp(port)

    result = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert result.status == "unknown"


async def test_a_server_that_is_not_there_refuses_before_anything_is_accepted(unused_tcp_port: int) -> None:
    result = await _smtp(unused_tcp_port).deliver(letter(), unsubscribe=LINK)

    assert result.status == "failed"


async def test_a_server_without_the_encryption_that_was_asked_for_gets_nothing(mailbox: Mailbox, port: int) -> None:
    result = await _smtp(port, security="starttls").deliver(letter(), unsubscribe=LINK)

    assert result.status == "failed"
    assert mailbox.taken == []


async def test_a_connection_that_died_in_the_meantime_is_replaced(mailbox: Mailbox, port: int) -> None:
    smtp = _smtp(port, connections=1)
    await smtp.deliver(letter(0), unsubscribe=LINK)
    smtp._idle[0].close()  # as a server does that has waited for long enough

    result = await smtp.deliver(letter(1), unsubscribe=LINK)
    await smtp.close()

    assert result.status == "delivered"
    assert len(mailbox.taken) == 2


async def test_what_cannot_be_an_e_mail_is_rejected_without_a_connection(unused_tcp_port: int) -> None:
    result = await _smtp(unused_tcp_port).deliver(letter(subject="a\r\nBcc: b@example.com"), unsubscribe=LINK)

    assert result.status == "rejected"


@pytest.mark.parametrize(("said_to", "status"), [("RCPT", "failed"), ("DATA", "unknown")])
async def test_what_is_no_answer_at_all_says_nothing_about_the_content(
    mailbox: Mailbox, port: int, said_to: str, status: str
) -> None:
    nonsense = "nonsense\x00that is no SMTP"
    if said_to == "RCPT":
        mailbox.answers["u0@example.com"] = nonsense
    else:
        mailbox.data_answers.append(nonsense)
    smtp = _smtp(port)

    first = await smtp.deliver(letter(), unsubscribe=LINK)
    mailbox.answers.clear()
    second = await smtp.deliver(letter(), unsubscribe=LINK)
    await smtp.close()

    assert (first.status, first.trouble) == (status, True)
    assert second.status == "delivered"
