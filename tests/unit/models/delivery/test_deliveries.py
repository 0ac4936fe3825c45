"""What is remembered of a message says which code can read it."""

from __future__ import annotations

import msgspec
import pytest

from models.delivery.deliveries import Delivery, decode_delivery, encode_delivery
from models.errors import StateMismatch


def test_what_is_written_is_read() -> None:
    delivery = Delivery(status="unknown", changed=7, attempts=2, by="a1")

    assert decode_delivery(encode_delivery(delivery)) == delivery


@pytest.mark.parametrize(
    "newer",
    [
        b'{"status":"queued","changed":7,"hold_until":9,"schema":2}',
        b'{"status":"resting","changed":"yesterday","schema":2}',
    ],
)
def test_what_newer_code_wrote_is_refused_and_never_misread(newer: bytes) -> None:
    with pytest.raises(StateMismatch, match="delivery has schema version 2; this code reads version 1"):
        decode_delivery(newer)


def test_what_is_damaged_is_no_newer_schema() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_delivery(b'{"status":"resting","changed":7}')
