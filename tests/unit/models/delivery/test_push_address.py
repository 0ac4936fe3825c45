"""An address of the channel push is a device token or a web push subscription, or it is refused with its reason."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from models.delivery.address_hashes import normalised
from models.delivery.push_address import (
    DeviceToken,
    InvalidPushAddress,
    WebPushSubscription,
    parse_push_address,
    push_identity,
    write_push_address,
)
from models.events import Channel

PUSH: Channel = "push"
TOKEN = "dQw4w9WgXcQ:APA91b" + "Hun4MxP5egoKMwt2KZFBaFUH-ERqc_2" * 4
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/gAAAAA"
# The keys of the example in RFC 8291, section 5.
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"


def subscription(**changed: Any) -> str:
    keys = {"p256dh": changed.pop("p256dh", P256DH), "auth": changed.pop("auth", AUTH)}
    return msgspec.json.encode({"endpoint": ENDPOINT, "expirationTime": None, "keys": keys, **changed}).decode()


def test_a_device_token_is_taken_as_it_is() -> None:
    assert parse_push_address(f" {TOKEN}\n") == DeviceToken(TOKEN)


def test_a_subscription_is_taken_as_a_browser_writes_it() -> None:
    address = parse_push_address(subscription())

    assert isinstance(address, WebPushSubscription)
    assert address.endpoint == ENDPOINT
    assert (len(address.p256dh), len(address.auth)) == (65, 16)
    assert (address.host, address.origin) == (
        "updates.push.services.mozilla.com",
        "https://updates.push.services.mozilla.com",
    )


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://Push.Example:443/a", "https://push.example"),
        ("https://push.example:8443/a", "https://push.example:8443"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]"),
    ],
)
def test_the_origin_is_the_one_of_rfc_6454(endpoint: str, origin: str) -> None:
    address = parse_push_address(subscription(endpoint=endpoint))

    assert isinstance(address, WebPushSubscription)
    assert address.origin == origin


def test_padding_and_the_other_alphabet_of_base64_are_read() -> None:
    padded = urlsafe_b64encode(urlsafe_b64decode(P256DH + "=")).decode().replace("-", "+").replace("_", "/")

    assert parse_push_address(subscription(p256dh=padded, auth=AUTH + "==")) == parse_push_address(subscription())


def test_two_forms_of_one_address_are_written_in_the_same_way_and_have_one_identity() -> None:
    other = msgspec.json.format(subscription().encode(), indent=2).decode()

    assert other != subscription()
    written = {write_push_address(parse_push_address(one)) for one in (other, subscription())}
    assert len(written) == 1
    assert parse_push_address(written.pop()) == parse_push_address(other)
    assert push_identity(other) == push_identity(subscription()) == ENDPOINT


def test_a_subscription_has_one_hash_however_its_json_is_written() -> None:
    spaced = msgspec.json.format(subscription().encode(), indent=2).decode()

    assert normalised(PUSH, spaced) == normalised(PUSH, subscription()) == ENDPOINT
    assert normalised(PUSH, f" {TOKEN}") == TOKEN


def test_a_text_that_is_no_address_identifies_itself() -> None:
    assert push_identity(" nonsense ") == "nonsense"


@pytest.mark.parametrize(
    ("written", "part", "found"),
    [
        ("", "token", "0 characters"),
        ("ada@example.com", "token", "15 characters"),
        ("a" * 4097, "token", "4097 characters"),
        ("token with blanks" + "x" * 40, "token", "other characters"),
        ("http://push.example/" + "x" * 40, "token", "other characters"),
        ("{", "subscription", "JSON with an error"),
        ("{" + " " * 5000 + "}", "subscription", "5002 characters"),
        ('{"endpoint": "\ud800"}', "subscription", "JSON with an error"),
        ('{"endpoint": "https://push.example/a"}', "subscription", "`keys`"),
        (subscription(endpoint=7), "subscription", "JSON with an error"),
        (subscription(endpoint="http://push.example/a"), "endpoint", "the scheme http"),
        (subscription(endpoint="push.example/a"), "endpoint", "the scheme (none)"),
        (subscription(endpoint=""), "endpoint", "nothing"),
        (subscription(endpoint="https://"), "endpoint", "no host"),
        (subscription(endpoint="https://me:secret@push.example/a"), "endpoint", "a user name"),
        (subscription(endpoint="https://push.example/a#b"), "endpoint", "a fragment"),
        (subscription(endpoint="https://push.example/a b"), "endpoint", "blanks"),
        (subscription(endpoint="https://[push/a"), "endpoint", "cannot be read"),
        (subscription(endpoint="https://push.example:99999/a"), "endpoint", "cannot be read"),
        (subscription(endpoint="https://push.example/" + "a" * 2048), "endpoint", "2069 characters"),
        (subscription(p256dh=""), "keys.p256dh", "0 bytes"),
        (subscription(p256dh=P256DH[:-1]), "keys.p256dh", "64 bytes"),
        (subscription(p256dh=P256DH[:-5] + "AAAAA"), "keys.p256dh", "other bytes"),
        (subscription(p256dh="A" + P256DH[1:]), "keys.p256dh", "other bytes"),
        (subscription(p256dh="not base64!"), "keys.p256dh", "not base64url"),
        (subscription(p256dh="A"), "keys.p256dh", "not base64url"),
        (subscription(auth="AAAA"), "keys.auth", "3 bytes"),
        (subscription(auth=AUTH + "A"), "keys.auth", "17 bytes"),
    ],
)
def test_any_other_text_is_refused_with_its_part_and_what_is_allowed(written: str, part: str, found: str) -> None:
    with pytest.raises(InvalidPushAddress) as refused:
        parse_push_address(written)

    assert refused.value.part == part
    assert found in str(refused.value)
    assert f"push address, {part}: found " in str(refused.value)
    assert AUTH not in str(refused.value)


@given(st.integers(min_value=1, max_value=2**250))
def test_every_public_key_of_the_curve_is_taken_and_a_changed_one_is_not(secret: int) -> None:
    public = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    changed = point[:-1] + bytes([point[-1] ^ 1])

    address = parse_push_address(subscription(p256dh=urlsafe_b64encode(point).decode()))

    assert isinstance(address, WebPushSubscription)
    assert address.p256dh == point
    with pytest.raises(InvalidPushAddress):
        parse_push_address(subscription(p256dh=urlsafe_b64encode(changed).decode()))
