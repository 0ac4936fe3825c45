"""The current code makes an event of a dead letter, or refuses it with the reason."""

from __future__ import annotations

import json

import msgspec
import pytest

from models.errors import InvalidEvent
from models.events import Event, encode_event
from models.rejected import MAX_KEPT_BYTES, Rejected, decode_rejected, reject_value
from models.source import Source
from stream.dead_letters.repair import StillRefused, mend, missing_part, whole

AT = 1_777_636_800_250
CLICK = b'{"type":"click","user":"u1","item":"sku1"}'


def letter(
    value: bytes | None, topic: str = "events.in", reason: str = "bad_time", key: bytes | None = None
) -> Rejected:
    error = InvalidEvent(reason, "at", "x", "y")
    return decode_rejected(reject_value(value, Source(topic, 0, 7), error, at=AT, key=key).value)


@pytest.mark.parametrize(("topic", "origin"), [("events.in", "live"), ("door:a", "live"), ("file:9f86", "replay")])
def test_a_senders_record_keeps_the_id_of_its_place_and_its_time_of_arrival(topic: str, origin: str) -> None:
    event = mend(letter(CLICK, topic))

    assert (event.id, event.user, event.at, event.origin) == (f"{topic}/0/7", "u1", AT, origin)


def test_the_id_of_the_sender_is_kept() -> None:
    assert mend(letter(b'{"type":"click","user":"u1","messageId":"m1"}')).id == "m1"


@pytest.mark.parametrize("topic", ["events", "outcomes"])
def test_an_event_of_ours_is_unchanged(topic: str) -> None:
    event = Event(id="m1", user="u1", type="click", at=AT, origin="simulate")

    assert mend(letter(encode_event(event), topic, "fold_failed")) == event


def test_a_letter_that_is_still_not_an_event_is_refused_with_the_reason() -> None:
    with pytest.raises(StillRefused, match="user"):
        mend(letter(b"{}"))
    with pytest.raises(StillRefused, match="not an event of ours"):
        mend(letter(b"win_back", "events", "fold_failed"))
    with pytest.raises(StillRefused, match="record of the log itself"):
        mend(letter(b"{}", "events", "undecodable", key=b"\x00tick"))
    with pytest.raises(StillRefused, match="nothing"):
        mend(letter(None))


def test_an_event_that_came_too_late_is_accepted_only_with_force() -> None:
    event = Event(id="m1", user="u1", type="click", at=AT)
    late = letter(encode_event(event), "events", "too_late")

    with pytest.raises(StillRefused, match="--force"):
        mend(late)
    assert mend(late, force=True).forced
    assert not mend(letter(encode_event(event), "events", "fold_failed"), force=True).forced
    assert mend(letter(CLICK, "door:a", "too_late"), force=True).forced  # the door refused it


LONG = json.dumps(
    {"type": "custom", "user": "u1", "name": "Note", "properties": {"text": "x" * MAX_KEPT_BYTES}}
).encode()


def test_a_letter_with_only_a_part_of_its_record_is_completed_from_its_topic() -> None:
    assert missing_part(letter(LONG)) == Source("events.in", 0, 7)
    assert whole(letter(LONG), LONG) == LONG


@pytest.mark.parametrize(("value", "topic"), [(CLICK, "events.in"), (LONG, "door:a")])
def test_no_record_is_read_again_if_the_letter_is_whole_or_its_source_cannot_be_read(value: bytes, topic: str) -> None:
    assert missing_part(letter(value, topic)) is None


@pytest.mark.parametrize(
    ("topic", "fetched", "message"),
    [
        ("events.in", None, "gone from its topic"),
        ("events.in", LONG + b" ", "another record"),
        ("door:a", None, "cannot be read again"),
    ],
)
def test_a_letter_whose_missing_part_cannot_be_read_is_refused(topic: str, fetched: bytes | None, message: str) -> None:
    with pytest.raises(StillRefused, match=message):
        whole(letter(LONG, topic), fetched)


def test_a_replay_gives_a_record_no_more_trust_than_its_door_gave() -> None:
    record = letter(b'{"type":"consent","user":"u1","granted":true,"channel":"email"}', "door:a")

    public = mend(msgspec.structs.replace(record, trust="public"))
    test = mend(msgspec.structs.replace(record, origin="test"))

    assert (public.origin, public.trust, public.user) == ("live", "public", "u1")
    assert (test.origin, test.trust, test.user) == ("test", "server", "test:u1")


def test_a_refused_letter_gives_the_withdrawal_that_it_contains() -> None:
    with pytest.raises(StillRefused) as caught:
        mend(letter(b'{"type":"identify","user":"u1","at":"soon","traits":{"unsubscribed":true}}'))

    assert caught.value.withdrawal is not None
    assert caught.value.withdrawal.traits == {"unsubscribed": True}


def test_a_detail_of_an_accepted_event_is_not_sent_again() -> None:
    record = msgspec.structs.replace(letter(CLICK), accepted=True)

    with pytest.raises(StillRefused, match="accepted without this detail"):
        mend(record)
