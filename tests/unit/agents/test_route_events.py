"""The router validates external events, passes our outcomes through, and loses nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.route_events import route_events
from models.batch import Batch, Outputs
from models.delivery.deliveries import MessageSummary, Result, Status, outcome_of
from models.errors import EventWarning, InvalidEvent
from models.events import ORIGINS, Event, Origin, decode_event, encode_event
from models.rejected import Rejected, decode_rejected
from tests.support.delivering import KafkaRecord

NOW = 1_777_636_800_250


async def route(
    *values: bytes | None, topic: str = "events.in", origin: Origin = "live", cuts: Sequence[int] = ()
) -> list[Outputs]:
    records = [KafkaRecord(value, offset, NOW, b"whatever") for offset, value in enumerate(values, start=100)]
    edges = [0, *cuts, len(records)]

    async def batches() -> AsyncIterator[Batch]:
        for begin, end in itertools.pairwise(edges):
            yield Batch(topic, 2, records[begin:end])

    return [outputs async for outputs in route_events(batches(), origin=origin)]


def events_of(outputs: Outputs) -> list[Event]:
    return [decode_event(record.value or b"") for record in outputs.commit.records if record.topic == "events"]


def rejected_of(outputs: Outputs) -> list[Rejected]:
    return [decode_rejected(record.value) for record in outputs.commit.records if record.topic == "events.rejected"]


CLICK = b'{"type":"click","user":"u1","item":"sku1"}'
TRACK = b'{"type":"track","event":"Product Clicked","userId":"\xc3\xa4","properties":{"product_id":"sku1"}}'

BAD: dict[bytes | None, str] = {
    b"\x00\xff garbage": "bad_json",
    b"x" * 5_000_000: "too_large",
    None: "empty",
    b'{"type":"click","item":"sku1"}': "missing_user",
    b'{"type":"click","user":7}': "wrong_type",
    b'{"type":"click","user":"u1","at":"9999-12-31T23:59:59Z"}': "time_in_future",
    b'{"type":"click","user":"u1","at":253402300799000}': "time_in_future",
    b'{"type":"message_delivered","user":"u1","message":"x"}': "reserved_type",
    b'{"type":"click","user":"\\u0000tick"}': "control_character",
}


async def test_both_forms_are_written_under_their_user() -> None:
    (outputs,) = await route(CLICK, TRACK)

    assert [record.key for record in outputs.commit.records] == [b"u1", "ä".encode()]
    assert [event.item for event in events_of(outputs)] == ["sku1", "sku1"]


async def test_a_missing_message_id_and_time_come_from_the_records_position_and_timestamp() -> None:
    (outputs,) = await route(CLICK, CLICK)

    assert [(event.id, event.at) for event in events_of(outputs)] == [
        ("events.in/2/100", NOW),
        ("events.in/2/101", NOW),
    ]


async def test_each_bad_record_is_rejected_with_its_reason_and_affects_no_other() -> None:
    values = [value for bad in BAD for value in (CLICK, bad)]

    (outputs,) = await route(*values, CLICK)

    assert [rejected.reason for rejected in rejected_of(outputs)] == list(BAD.values())
    assert [rejected.offset for rejected in rejected_of(outputs)] == [101 + 2 * i for i in range(len(BAD))]
    assert len(events_of(outputs)) == len(BAD) + 1


async def test_accepted_and_refused_records_are_counted_by_reason() -> None:
    (outputs,) = await route(CLICK, TRACK, *BAD)

    assert outputs.counts["events_accepted", "kafka"] == 2
    assert outputs.counts["events_rejected", "time_in_future"] == 2
    assert sum(outputs.counts.values()) == 2 + len(BAD)


async def test_the_outputs_do_not_depend_on_how_the_log_is_cut_into_batches() -> None:
    values = [CLICK, *BAD, TRACK]
    whole = await route(*values)

    for cuts in ([1, 2, 3], [5], list(range(1, len(values)))):
        parts = await route(*values, cuts=cuts)
        assert [record for outputs in parts for record in outputs.commit.records] == whole[0].commit.records


async def test_a_record_cannot_have_a_more_live_origin_than_the_door_allows() -> None:
    (outputs,) = await route(b'{"type":"click","user":"u1","origin":"live"}', origin="replay")

    assert events_of(outputs)[0].origin == "replay"


async def test_an_outcome_is_written_under_its_user() -> None:
    outcome = Event(id="m1:delivered", user="u1", type="message_delivered", at=NOW, message="m1", channel="email")

    (outputs,) = await route(encode_event(outcome), topic="outcomes")

    assert [(record.topic, record.key) for record in outputs.commit.records] == [("events", b"u1")]
    assert events_of(outputs) == [outcome]
    assert outputs.counts == {}


@given(
    status=st.sampled_from(get_args(Status)),
    user=st.text(min_size=1),
    origin=st.sampled_from(ORIGINS),
    detail=st.text(),
    provider_id=st.text(),
)
def test_an_outcome_passes_through_with_the_same_bytes_as_a_new_encoding(
    status: Status, user: str, origin: Origin, detail: str, provider_id: str
) -> None:
    summary = MessageSummary(user, "win_back", "email", NOW, origin)
    outcome = encode_event(outcome_of("m1", summary, Result(status, detail, provider_id), NOW))

    (outputs,) = asyncio.run(route(outcome, topic="outcomes"))

    (written,) = outputs.commit.records
    assert written.key == user.encode()
    assert written.value == outcome == encode_event(decode_event(outcome))


async def test_a_damaged_outcome_is_rejected_and_not_lost() -> None:
    (outputs,) = await route(b"\xff", orjson.dumps({"id": 1}), b'"\xed\xa0\x80"', None, topic="outcomes")

    assert [rejected.reason for rejected in rejected_of(outputs)] == ["bad_outcome"] * 4


async def test_a_rejected_detail_becomes_a_dead_letter_beside_the_accepted_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        EventWarning("bad_email", "traits.email", "ada@", "an address", rejected=True),
        EventWarning("bad_quantity", "properties.quantity", "1.5", "a whole number"),
    ]

    def decode(_: object, __: object, warnings: list[EventWarning]) -> Event:
        warnings += found
        return Event(id="m1", user="u1", type="identify", at=NOW)

    monkeypatch.setattr("agents.route_events.decode", decode)
    (outputs,) = await route(b"{}", b"{}")

    assert [event.id for event in events_of(outputs)] == ["m1", "m1"]
    letters = rejected_of(outputs)
    assert [(one.reason, one.field, one.offset, one.accepted) for one in letters] == [
        ("bad_email", "traits.email", 100, True),
        ("bad_email", "traits.email", 101, True),
    ]
    assert [record.key for record in outputs.commit.records if record.topic == "events.rejected"] == [
        b"events.in/2/100#traits.email",
        b"events.in/2/101#traits.email",
    ]
    assert outputs.counts["event_warnings", "bad_email"] == outputs.counts["event_warnings", "bad_quantity"] == 2


async def test_a_withdrawal_in_a_refused_record_goes_to_events_beside_the_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = InvalidEvent("bad_time", "timestamp", "soon", "a time")
    error.withdrawal = Event(id="m1", user="u1", type="consent", at=NOW, granted=False)

    def decode(*_: object, **__: object) -> Event:
        raise error

    monkeypatch.setattr("agents.route_events.decode", decode)
    (outputs,) = await route(b"{}")

    assert events_of(outputs) == [error.withdrawal]
    assert [one.reason for one in rejected_of(outputs)] == ["bad_time"]
    assert outputs.counts == {("events_rejected", "bad_time"): 1, ("withdrawals_salvaged", "bad_time"): 1}
