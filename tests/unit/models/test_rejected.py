from __future__ import annotations

import hashlib
from dataclasses import dataclass

from models.errors import InvalidEvent, OutputTooLarge
from models.rejected import MAX_KEPT_BYTES, decode_rejected, reason_of, reject, reject_value
from models.source import Source

SOURCE = Source("events.in", 2, 40)
INVALID = InvalidEvent("bad_time", "at", 12, "milliseconds")


@dataclass(frozen=True)
class Stored:
    offset: int = 40
    timestamp: int = 1_700_000_000_000
    key: bytes | None = b"k"
    value: bytes | None = b'{"user":1}'


def test_a_dead_letter_has_the_reason_the_place_and_the_content_of_its_record() -> None:
    rejected = decode_rejected(reject(Stored(), SOURCE, INVALID).value)

    assert (rejected.reason, rejected.field, rejected.found, rejected.allowed) == (
        "bad_time",
        "at",
        "12",
        "milliseconds",
    )
    assert (rejected.topic, rejected.partition, rejected.offset) == SOURCE
    assert rejected.at == 1_700_000_000_000
    assert rejected.value == b'{"user":1}'
    assert rejected.key == "aw=="


def test_a_large_record_keeps_its_first_64_kib_its_length_and_its_hash() -> None:
    value = bytes(range(256)) * 20_000

    rejected = decode_rejected(reject(Stored(value=value), SOURCE, INVALID).value)

    assert rejected.value == value[:MAX_KEPT_BYTES]
    assert rejected.length == 5_120_000
    assert rejected.sha256 == hashlib.sha256(value).hexdigest()


def test_a_tombstone_is_distinguished_from_an_empty_record() -> None:
    tombstone = decode_rejected(reject(Stored(value=None), SOURCE, INVALID).value)
    empty = decode_rejected(reject(Stored(value=b""), SOURCE, INVALID).value)

    assert (tombstone.length, empty.length) == (-1, 0)


def test_the_key_is_the_place_so_that_a_repeat_is_recognised() -> None:
    assert reject(Stored(), SOURCE, INVALID).key == b"events.in/2/40"


def test_a_bug_is_distinguished_from_bad_input() -> None:
    rejected = decode_rejected(reject_value(b"", SOURCE, KeyError("cart\udc80"), at=1).value)

    assert rejected.reason == "fold_failed"
    assert "KeyError" in rejected.found


def test_the_dead_letter_of_an_output_that_is_too_large_names_its_topic_and_limit() -> None:
    rejected = decode_rejected(reject_value(b"", SOURCE, OutputTooLarge("signals", 9, 8), at=1).value)

    assert (rejected.reason, rejected.found, rejected.allowed) == (
        "output_too_large",
        "9 bytes for signals",
        "at most 8 bytes",
    )
    assert reason_of(OutputTooLarge("signals", 9, 8)) == "output_too_large"
