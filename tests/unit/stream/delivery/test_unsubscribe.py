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

from stream.delivery.unsubscribe import InvalidToken, Signer, Unsubscription, secret_of

HASH = "0a1b2c3d:" + "ab" * 32
KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
SIGNER = Signer([KEY], "https://events.example.com/")


@given(user=st.text(min_size=1, max_size=200))
def test_a_token_returns_its_user_and_channel(user: str) -> None:
    assert SIGNER.verify(SIGNER.token(user, "sms", HASH)) == Unsubscription(user, "sms", address=HASH)


@given(position=st.integers(min_value=0, max_value=59), letter=st.sampled_from("abcXYZ019-_."))
def test_a_token_that_was_altered_is_refused(position: int, letter: str) -> None:
    token = SIGNER.token("u1", "email")
    at = position % len(token)
    if token[at] == letter:
        return
    altered = token[:at] + letter + token[at + 1 :]
    try:
        said = SIGNER.verify(altered)
    except InvalidToken:
        return
    # In base64, different last characters of a group may mean the same bytes. Only such a change may be accepted.
    assert said == SIGNER.verify(token)


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "ä.ö", "x" * 5000, "AAAA.AAAA\n"])
def test_a_text_that_is_not_a_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.verify(token)


def test_a_token_of_an_earlier_release_is_valid_at_any_age() -> None:
    """Users keep e-mails for years. Such a token does no harm, because it can only withdraw consent."""
    content = msgspec.msgpack.encode(("u1", "email", 1_000))
    mac = hmac.new(KEY, b"perennial unsubscribe 1\0" + content, hashlib.sha256).digest()[:16]
    token = ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (content, mac))

    assert SIGNER.verify(token) == Unsubscription("u1", "email", 1_000, address="")


def test_a_door_of_an_earlier_release_reads_a_new_token() -> None:
    content = SIGNER.token("u1", "email", HASH).partition(".")[0]

    said = msgspec.msgpack.decode(urlsafe_b64decode(content + "=="), type=tuple[str, str, int, str])

    assert said[:2] == ("u1", "email")
    assert said[2] > 4_000_000_000_000  # a door of an earlier release checks whether this time has passed


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(InvalidToken):
        SIGNER.verify(Signer([OTHER], "https://x").token("u1", "email"))


def test_links_of_both_secrets_are_valid_while_a_secret_is_replaced() -> None:
    rotated = Signer([OTHER, KEY], "https://events.example.com")

    assert rotated.verify(SIGNER.token("u1", "email")).user == "u1"
    assert Signer([OTHER], "https://x").verify(rotated.token("u1", "email")).user == "u1"


def test_a_link_needs_no_escaping_in_html() -> None:
    link = SIGNER.link("Ada & <Eve>", "email")

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
