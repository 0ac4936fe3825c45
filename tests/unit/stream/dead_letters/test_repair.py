"""A dead letter is read once more with today's code, or it says why it still cannot be an event."""

from __future__ import annotations

import json

import msgspec
import pytest

from models.errors import InvalidEvent
from models.events import Event, encode_event
from models.rejected import MAX_KEPT_BYTES, Rejected, decode_rejected, reject_value
from models.source import Source
from stream.dead_letters.repair import StillRefused, mend, whole

AT = 1_777_636_800_250
CLICK = b'{"type":"click","user":"u1","item":"sku1"}'


def letter(
    value: bytes | None, topic: str = "events.in", reason: str = "bad_time", key: bytes | None = None
) -> Rejected:
    error = InvalidEvent(reason, "at", "x", "y")
    return decode_rejected(reject_value(value, Source(topic, 0, 7), error, at=AT, key=key).value)


def nowhere(source: Source) -> bytes | None:
    raise AssertionError(f"nobody has to read {source} again")


@pytest.mark.parametrize(("topic", "origin"), [("events.in", "live"), ("door:a", "live"), ("file:9f86", "replay")])
def test_what_a_sender_wrote_keeps_the_id_of_its_place_and_the_time_it_came(topic: str, origin: str) -> None:
    event = mend(letter(CLICK, topic), nowhere)

    assert (event.id, event.user, event.at, event.origin) == (f"{topic}/0/7", "u1", AT, origin)


def test_an_id_that_the_sender_gave_stays() -> None:
    assert mend(letter(b'{"type":"click","user":"u1","messageId":"m1"}'), nowhere).id == "m1"


@pytest.mark.parametrize("topic", ["events", "outcomes"])
def test_an_event_of_ours_stays_what_it_was(topic: str) -> None:
    event = Event(id="m1", user="u1", type="click", at=AT, origin="simulate")

    assert mend(letter(encode_event(event), topic, "fold_failed"), nowhere) == event


def test_what_is_still_no_event_says_why() -> None:
    with pytest.raises(StillRefused, match="user"):
        mend(letter(b"{}"), nowhere)
    with pytest.raises(StillRefused, match="no event of ours"):
        mend(letter(b"win_back", "events", "fold_failed"), nowhere)
    with pytest.raises(StillRefused, match="record of the log itself"):
        mend(letter(b"{}", "events", "undecodable", key=b"\x00tick"), nowhere)
    with pytest.raises(StillRefused, match="nothing"):
        mend(letter(None), nowhere)


def test_what_came_too_late_is_taken_by_force_alone_and_then_for_good() -> None:
    event = Event(id="m1", user="u1", type="click", at=AT)
    late = letter(encode_event(event), "events", "too_late")

    with pytest.raises(StillRefused, match="--force"):
        mend(late, nowhere)
    assert mend(late, nowhere, force=True).forced
    assert not mend(letter(encode_event(event), "events", "fold_failed"), nowhere, force=True).forced
    assert mend(letter(CLICK, "door:a", "too_late"), nowhere, force=True).forced  # the door refused it


LONG = json.dumps(
    {"type": "custom", "user": "u1", "name": "Note", "properties": {"text": "x" * MAX_KEPT_BYTES}}
).encode()


def test_what_was_kept_in_part_is_read_again_where_it_came_from() -> None:
    asked: list[Source] = []

    def fetch(source: Source) -> bytes | None:
        asked.append(source)
        return LONG

    assert whole(letter(LONG), fetch) == LONG
    assert asked == [Source("events.in", 0, 7)]


@pytest.mark.parametrize(
    ("topic", "there", "says"),
    [
        ("events.in", None, "gone from its topic"),
        ("events.in", LONG + b" ", "another record"),
        ("door:a", LONG, "cannot be read again"),
    ],
)
def test_what_was_kept_in_part_and_cannot_be_had_is_refused(topic: str, there: bytes | None, says: str) -> None:
    with pytest.raises(StillRefused, match=says):
        whole(letter(LONG, topic), lambda source: there)


def test_a_replay_gives_a_record_no_more_trust_than_its_door_gave() -> None:
    record = letter(b'{"type":"consent","user":"u1","granted":true,"channel":"email"}', "door:a")

    public = mend(msgspec.structs.replace(record, trust="public"), nowhere)
    test = mend(msgspec.structs.replace(record, origin="test"), nowhere)

    assert (public.origin, public.trust, public.user) == ("live", "public", "u1")
    assert (test.origin, test.trust, test.user) == ("test", "server", "test:u1")


def test_the_withdrawal_in_what_is_still_no_event_is_there() -> None:
    with pytest.raises(StillRefused) as caught:
        mend(letter(b'{"type":"identify","user":"u1","at":"soon","traits":{"unsubscribed":true}}'), nowhere)

    assert caught.value.withdrawal is not None
    assert caught.value.withdrawal.traits == {"unsubscribed": True}


def test_a_detail_of_an_accepted_event_is_not_sent_again() -> None:
    record = msgspec.structs.replace(letter(CLICK), accepted=True)

    with pytest.raises(StillRefused, match="accepted without this detail"):
        mend(record, nowhere)
