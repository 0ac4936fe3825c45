from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from stream.delivery import mime
from tests.stream.delivery.letters import LINK, letter

SENDER = "Läden & Co <hello@shop.example>"


def _read(mail: EmailMessage) -> EmailMessage:
    read = message_from_bytes(mail.as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    return read


def test_an_e_mail_has_a_plain_and_an_html_part() -> None:
    mail = _read(mime.build(letter(), sender=SENDER, unsubscribe=LINK))

    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == letter().text
    assert mail["Subject"] == "Grüße, Ada"
    assert mail["From"] == "Läden & Co <hello@shop.example>"


def test_an_e_mail_without_html_is_plain() -> None:
    mail = mime.build(letter(html=None), sender=SENDER, unsubscribe=LINK)

    assert mail.get_content_type() == "text/plain"


def test_the_message_id_follows_from_the_message() -> None:
    mail = mime.build(letter(), sender=SENDER, unsubscribe=LINK)

    assert mail["Message-ID"] == f"<{letter().id}@shop.example>"


def test_the_one_click_headers_stand_whole_on_one_line() -> None:
    content = mime.build(letter(), sender=SENDER, unsubscribe=LINK).as_bytes()

    assert f"\r\nList-Unsubscribe: <{LINK}>\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content


def test_a_receipt_offers_no_unsubscription() -> None:
    mail = mime.build(letter(category="transactional"), sender=SENDER, unsubscribe=LINK)

    assert "List-Unsubscribe" not in mail


def test_a_recipient_is_told_neither_score_nor_rule() -> None:
    content = mime.build(letter(), sender=SENDER, unsubscribe=LINK).as_bytes()

    assert b"churn" not in content
    assert b"win_back" not in content


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": "Hi\r\nBcc: eve@example.com"},
        {"subject": "Hi\nX: y"},
        {"to": "ada@example.com\r\nBcc: eve@example.com"},
        {"to": "ada@example.com, eve@example.com"},
        {"to": ""},
    ],
)
def test_nobody_can_write_a_header_of_their_own(changed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, IndexError)):
        mime.build(letter(**changed), sender=SENDER, unsubscribe=LINK).as_bytes()


def test_the_same_message_has_the_same_bytes_every_time() -> None:
    first, second = (mime.build(letter(), sender=SENDER, unsubscribe=LINK).as_bytes() for _ in range(2))

    assert first == second
