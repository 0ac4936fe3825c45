from __future__ import annotations

import hashlib
import hmac
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.delivery.unsubscribe import SHOWS_FOR_MS, InvalidToken, Signer, Unsubscription, secret_of
from tests.support.letters import letter

HASH = "0a1b2c3d:" + "ab" * 32
KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
SIGNER = Signer([KEY], "https://events.example.com/")


@given(user=st.text(min_size=1, max_size=200))
def test_a_token_returns_its_content(user: str) -> None:
    said = Unsubscription(user, "sms", HASH, "0f" * 16, "tips", "purpose", 1_777_636_800_000)

    assert SIGNER.verify(SIGNER.token(said)) == said
    assert SIGNER.verify(SIGNER.token(Unsubscription(user, "email"))) == Unsubscription(user, "email")


@given(position=st.integers(min_value=0, max_value=59), letter=st.sampled_from("abcXYZ019-_."))
def test_a_token_that_was_altered_is_refused(position: int, letter: str) -> None:
    token = SIGNER.token(Unsubscription("u1", "email"))
    at = position % len(token)
    if token[at] == letter:
        return
    altered = token[:at] + letter + token[at + 1 :]
    with pytest.raises(InvalidToken):
        SIGNER.verify(altered)


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "ä.ö", "x" * 5000, "AAAA.AAAA\n"])
def test_a_text_that_is_not_a_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.verify(token)


def _of_an_earlier_release(*content: object) -> str:
    packed = msgspec.msgpack.encode(content)
    mac = hmac.new(KEY, b"perennial unsubscribe 1\0" + packed, hashlib.sha256).digest()[:16]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (packed, mac))


def test_a_token_of_an_earlier_release_is_valid_at_any_age() -> None:
    """Users keep e-mails for years. Such a token does no harm, because it can only withdraw consent."""
    assert SIGNER.verify(_of_an_earlier_release("u1", "email", 1_000)) == Unsubscription("u1", "email")
    assert SIGNER.verify(_of_an_earlier_release("u1", "sms", 1_000, HASH)) == Unsubscription("u1", "sms", HASH)
    with pytest.raises(InvalidToken):
        SIGNER.verify(_of_an_earlier_release("u1", "sms", 1_000, "not a hash"))


def test_a_reader_of_a_link_learns_nothing_about_the_user() -> None:
    said = Unsubscription("ada@example.com", "email", HASH, purpose="tips")
    token = SIGNER.token(said)

    for secret in (b"ada", b"example.com", b"tips", bytes.fromhex(HASH[9:])):
        assert secret not in urlsafe_b64decode(token + "=" * (-len(token) % 4))


def test_every_attempt_of_a_message_has_the_same_link() -> None:
    message = letter(1)

    assert SIGNER.link(message, HASH) == SIGNER.link(message, HASH)
    said = SIGNER.verify(SIGNER.link(message, HASH).partition("token=")[2])
    assert said == Unsubscription(
        message.user, "email", HASH, message.id, "marketing", shows_until=message.at // 1000 * 1000 + SHOWS_FOR_MS
    )


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(InvalidToken):
        SIGNER.verify(Signer([OTHER], "https://x").token(Unsubscription("u1", "email")))


def test_links_of_both_secrets_are_valid_while_a_secret_is_replaced() -> None:
    rotated = Signer([OTHER, KEY], "https://events.example.com")

    assert rotated.verify(SIGNER.token(Unsubscription("u1", "email"))).user == "u1"
    assert Signer([OTHER], "https://x").verify(rotated.token(Unsubscription("u1", "email"))).user == "u1"


def test_a_link_needs_no_escaping_in_html() -> None:
    link = SIGNER.link(letter(1, user="Ada & <Eve>"))

    assert link.startswith("https://events.example.com/v1/unsubscribe?token=")
    assert not set(link) & set("&<>\"' ")


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, b"short"]])
def test_a_weak_secret_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Signer(keys, "https://x")


def test_a_secret_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"

    made = secret_of(path)

    assert secret_of(path) == made
    assert len(made) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["secret"]


def test_the_byte_order_mark_of_an_editor_is_not_part_of_a_secret(tmp_path: Path) -> None:
    """Settings may also name this file, and they ignore the byte order mark. So the secret must be the same here."""
    path = tmp_path / "unsubscribe.secret"
    path.write_bytes(b"\xef\xbb\xbf0123456789abcdef\r\n")

    assert secret_of(path) == b"0123456789abcdef"
