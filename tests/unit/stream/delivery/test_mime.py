from __future__ import annotations

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from stream.delivery import mime
from tests.support.letters import LINK, letter

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


def test_each_one_click_header_is_on_one_line() -> None:
    content = mime.build(letter(), sender=SENDER, unsubscribe=LINK).as_bytes()

    assert f"\r\nList-Unsubscribe: <{LINK}>\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content


def test_a_receipt_offers_no_unsubscription() -> None:
    mail = mime.build(letter(category="transactional"), sender=SENDER, unsubscribe=LINK)

    assert "List-Unsubscribe" not in mail
    assert "List-ID" not in mail


def test_a_mailbox_can_sort_marketing_by_purpose() -> None:
    mail = mime.build(letter(purpose="product_news"), sender=SENDER, unsubscribe=LINK)

    assert mail["List-ID"] == "<product_news.shop.example>"


def test_an_e_mail_has_only_seven_bits_because_a_server_may_not_take_more() -> None:
    assert mime.build(letter(), sender=SENDER, unsubscribe=LINK).as_bytes().isascii()


def test_a_recipient_sees_neither_score_nor_rule() -> None:
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
def test_a_message_cannot_add_a_header(changed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, IndexError)):
        mime.build(letter(**changed), sender=SENDER, unsubscribe=LINK).as_bytes()


@pytest.mark.parametrize(
    "subject",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👨\u200d👩\u200d👧 ❤\ufe0f",
        "\u200f\u05e9\u05dc\u05d5\u05dd, 10\u00a0€",
        "é" * 3_000,
        "👨\u200d👩\u200d👧" * 300,
        "a" * 3_000,
        "a  b   c é  d",
        "=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=",
        "é =?utf-8?q?=0D=0ABcc:_eve@example.com?=",
    ],
)
def test_a_subject_arrives_as_it_was_written_in_encoded_words_that_every_reader_accepts(subject: str) -> None:
    content = mime.build(letter(subject=subject), sender=SENDER, unsubscribe=LINK).as_bytes()

    head = content.split(b"\r\n\r\n")[0]
    written = head.split(b"Subject: ")[1].split(b"\r\nDate: ")[0]
    assert str(make_header(decode_header(written.decode("ascii")))) == subject
    assert message_from_bytes(content, policy=default)["Bcc"] is None
    assert b"eve@example.com" not in written
    if b"=?" in written:
        assert max(len(word) for word in re.findall(rb"=\?[^ ]*\?=", written)) <= 75
        assert max(map(len, written.split(b"\r\n"))) <= 76


def test_the_same_message_has_the_same_bytes_every_time() -> None:
    first, second = (mime.build(letter(), sender=SENDER, unsubscribe=LINK).as_bytes() for _ in range(2))

    assert first == second
