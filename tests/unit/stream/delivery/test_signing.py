"""Signatures of e-mails, as a receiver sees them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_curve_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from models.delivery.calls import Call
from stream.delivery import mime
from stream.delivery.channels import open_channel
from stream.delivery.signing import InvalidDkimKey, MailSigner, require_key
from stream.delivery.smtp import Smtp
from stream.settings.fields import Secret
from stream.settings.mail_schema import DkimSection
from tests.support.dkim_reference import is_valid
from tests.support.letters import LINK, NOW, letter
from tests.support.mail import SENDER, FakeMailServer, live_mail, serving, smtp_section
from tests.support.mail_keys import dns_with, rsa_key

NAME = "s1._domainkey.shop.example"


@pytest.fixture(scope="module")
def key() -> str:
    """A private key."""
    return rsa_key()


@pytest.fixture
def dns(key: str) -> Callable[..., bytes | None]:
    """The DNS with the public key."""
    return dns_with(key, NAME)


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


def _signed(key: str, **changed: Any) -> bytes:
    mail = mime.build(letter(**changed), sender=SENDER, unsubscribe=LINK).as_bytes()
    return MailSigner("shop.example", "s1", key).signed(mail)


def _signed_headers(content: bytes) -> list[str]:
    signature = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").split(b"\r\n")[0].decode()
    (found,) = re.findall(r"\bh=([^;]*);", signature)
    return [name.strip() for name in found.split(":")]


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("text", ["Hello\n", "Grüße 👋\n" + "lang " * 300 + "\n.\n..\nFrom here\n \n\n"])
async def test_the_signature_of_what_arrives_over_smtp_is_valid_by_the_library_and_by_the_rfc(
    form: PrivateFormat, text: str, server: FakeMailServer, unused_tcp_port: int
) -> None:
    key = rsa_key(form=form)
    smtp = Smtp(smtp_section(unused_tcp_port), signer=MailSigner("shop.example", "s1", key))

    result = await smtp.deliver(letter(text=text), unsubscribe=LINK)
    await smtp.close()

    assert result.status == "delivered"
    ((_, _, content),) = server.received
    assert dkim.verify(content, dnsfunc=dns_with(key, NAME))
    assert is_valid(content, key)
    other = rsa_key()
    assert not dkim.verify(content, dnsfunc=dns_with(other, NAME)), "another key in the DNS"
    assert not is_valid(content, other)


async def test_the_channel_signs_with_the_key_of_the_settings(
    server: FakeMailServer, unused_tcp_port: int, key: str, dns: Callable[..., bytes | None], tmp_path: Path
) -> None:
    section = DkimSection(domain="shop.example", selector="s1", private_key=Secret(file="dkim.pem"))
    settings = replace(live_mail(unused_tcp_port, tmp_path, dkim=section), dkim_key=key)
    dispatcher = open_channel("email", settings, now=lambda: NOW)

    await dispatcher.make(Call(letter(), 1))
    await dispatcher.close()

    ((_, _, content),) = server.received
    assert dkim.verify(content, dnsfunc=dns)


def test_the_headers_of_one_click_are_signed(key: str, dns: Callable[..., bytes | None]) -> None:
    content = _signed(key)

    assert {"list-unsubscribe", "list-unsubscribe-post", "list-id", "from", "subject", "message-id"} <= set(
        _signed_headers(content)
    )
    assert dkim.verify(content, dnsfunc=dns)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"List-Unsubscribe: <https://events", b"List-Unsubscribe: <https://evil"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click", b"List-Unsubscribe-Post: none"),
        (b"\r\nDate:", b"\r\nFrom: Eve <eve@evil.example>\r\nDate:"),
        (b"\r\nDate:", b"\r\nSubject: Another\r\nDate:"),
        (b"Message-ID: <", b"Message-ID: <x"),
    ],
)
def test_a_changed_or_added_header_is_noticed(
    before: bytes, after: bytes, key: str, dns: Callable[..., bytes | None]
) -> None:
    content = _signed(key)
    assert content.count(before) == 1

    assert not dkim.verify(content.replace(before, after), dnsfunc=dns)
    assert is_valid(content, key)
    assert not is_valid(content.replace(before, after), key)


def test_a_changed_body_is_noticed(key: str, dns: Callable[..., bytes | None]) -> None:
    content = _signed(key, text="Hello, Ada\n")
    changed = content.replace(b"Hello, Ada", b"Hello, Eve")

    assert is_valid(content, key)
    assert changed != content
    assert not dkim.verify(changed, dnsfunc=dns)
    assert not is_valid(changed, key)


def test_a_receipt_without_the_headers_of_one_click_is_signed(key: str, dns: Callable[..., bytes | None]) -> None:
    content = _signed(key, category="transactional")

    assert "list-unsubscribe" not in _signed_headers(content)
    assert dkim.verify(content, dnsfunc=dns)


def test_two_signatures_of_the_same_e_mail_differ_only_in_the_signature(key: str) -> None:
    one, other = _signed(key), _signed(key)

    assert one.partition(b"From: ")[2] == other.partition(b"From: ")[2]


def _curve_key() -> str:
    key = generate_curve_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: "", "not a private key in PEM"),
        (lambda: rsa_key().replace("A", ""), "not a private key in PEM"),
        (_curve_key, "not an RSA key"),
    ],
)
def test_another_key_is_refused(make: Callable[[], str], says: str) -> None:
    with pytest.raises(InvalidDkimKey, match=says):
        require_key(make())
