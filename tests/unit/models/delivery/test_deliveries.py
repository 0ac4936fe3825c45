"""A stored delivery contains its schema, so that older code refuses it."""

from __future__ import annotations

import msgspec
import pytest

from models.delivery.deliveries import DeliveryRecord, decode_delivery, encode_delivery
from models.errors import StateMismatch


def test_a_written_record_is_read_back() -> None:
    record = DeliveryRecord(status="unknown", changed=7, attempts=2, by="a1")

    assert decode_delivery(encode_delivery(record)) == record


@pytest.mark.parametrize(
    "newer",
    [
        b'{"status":"queued","changed":7,"hold_until":9,"schema":2}',
        b'{"status":"resting","changed":"yesterday","schema":2}',
    ],
)
def test_a_record_of_newer_code_is_refused_and_never_misread(newer: bytes) -> None:
    with pytest.raises(StateMismatch, match="delivery has schema version 2; this code reads version 1"):
        decode_delivery(newer)


def test_a_damaged_record_is_not_taken_for_a_newer_schema() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_delivery(b'{"status":"resting","changed":7}')
