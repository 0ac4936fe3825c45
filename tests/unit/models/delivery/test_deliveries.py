"""A stored delivery contains its schema, so that older code refuses it."""

from __future__ import annotations

import msgspec
import pytest

from models.delivery.deliveries import DeliveryRecord, decode_delivery, encode_delivery
from models.delivery.messages import Message
from models.delivery.transitions import attempted, queued, stopped, withdrawn
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


def test_fields_that_only_newer_code_knows_survive_another_state_of_the_record() -> None:
    message = Message(
        id="0" * 32,
        user="u1",
        rule="r",
        category="marketing",
        channel="email",
        to="a@b.org",
        text="t",
        why="w",
        at=1,
        expires=2,
        origin="live",
    )
    stored = msgspec.json.decode(encode_delivery(queued(message, 5)))
    stored["taken_by"], stored["message"]["tone"] = {"user": "u2"}, [1, None]

    record = decode_delivery(msgspec.json.encode(stored))
    again = msgspec.json.decode(encode_delivery(attempted(stopped(record, "logged in", "u3"), "worker 1", 9)))

    assert (again["taken_by"], again["message"]["tone"]) == ({"user": "u2"}, [1, None])
    assert (again["status"], again["known"], again["message"]["to"]) == ("attempted", "u3", "a@b.org")
    assert decode_delivery(encode_delivery(record)) == record
    assert "taken_by" not in msgspec.json.decode(encode_delivery(withdrawn(record, "consent", 9).record))
