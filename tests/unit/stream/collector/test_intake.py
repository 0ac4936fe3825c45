from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.errors import InvalidEvent
from models.events import Event
from models.rejected import decode_rejected
from stream.collector.intake import MAX_BATCH_EVENTS, MAX_EVENT_BYTES, Acceptance, Arrival, Intake, Refusal, Verdict
from stream.collector.write_keys import Admission, WriteKeys

NOW = 1_777_636_800_250
PAGE = {"type": "page", "userId": "u1"}


def batch(*items: Any, **said: Any) -> list[Verdict]:
    body = {"batch": list(items), **said}
    return Intake("d1").batch(body, Arrival(b"as it came", NOW))


def sent(body: bytes) -> list[Verdict]:
    """Parse the body of a batch, and return the verdicts on its events."""
    intake = Intake("d1")
    raw, keys = intake.parse(body)
    return intake.batch(raw, Arrival(body, NOW, item_keys=keys.items))


def taken(verdict: Verdict) -> Event:
    assert isinstance(verdict, Acceptance)
    return verdict.event


def kept(verdict: Verdict) -> bytes:
    assert isinstance(verdict, Refusal)
    return decode_rejected(verdict.output.value).value


def test_the_address_gives_the_type_of_the_call() -> None:
    verdict = Intake("d1").one({"userId": "u1", "name": "Home"}, "page", Arrival(b"{}", NOW))

    assert (taken(verdict).type, taken(verdict).name) == ("page_view", "Home")


def test_a_body_of_another_call_is_refused() -> None:
    verdict = Intake("d1").one({"userId": "u1", "type": "page"}, "track", Arrival(b"{}", NOW))

    assert isinstance(verdict, Refusal)
    assert (verdict.error.reason, verdict.error.field) == ("bad_type", "type")


def test_the_short_form_is_read_at_any_address() -> None:
    verdict = Intake("d1").one({"user": "u1", "type": "click", "item": "a"}, "track", Arrival(b"{}", NOW))

    assert (taken(verdict).type, taken(verdict).item) == ("click", "a")


def test_a_body_may_begin_with_a_byte_order_mark() -> None:
    assert Intake("d1").parse(b'\xef\xbb\xbf{"userId":"u1"}')[0] == {"userId": "u1"}


def test_two_equal_events_without_a_message_id_remain_two_events() -> None:
    one, other = batch(dict(PAGE), dict(PAGE))

    assert (taken(one).id, taken(other).id) == ("door:d1/0/1", "door:d1/0/2")


def test_two_doors_never_give_the_same_id() -> None:
    ids = {Intake(name).source().id for name in ("d1", "d2")}

    assert len(ids) == 2


def test_each_event_of_a_batch_is_judged_by_itself() -> None:
    verdicts = batch(PAGE, {"type": "page"}, 5, {"type": "track", "userId": "u1"}, {"user": "u1", "type": "click"})

    assert [verdict.error.reason if isinstance(verdict, Refusal) else verdict.event.type for verdict in verdicts] == [
        "page_view",
        "missing_user",
        "not_an_object",
        "missing_field",
        "click",
    ]


def test_only_the_large_event_of_a_batch_is_refused() -> None:
    large = PAGE | {"properties": {"a": "x" * MAX_EVENT_BYTES}}

    first, second = batch(large, PAGE)

    assert isinstance(first, Refusal)
    assert first.error.reason == "too_large"
    assert isinstance(second, Acceptance)


def test_a_refused_event_is_kept_for_the_dead_letter_topic() -> None:
    (verdict,) = batch({"type": "page", "name": "Home"})

    assert isinstance(verdict, Refusal)
    rejected = decode_rejected(verdict.output.value)
    assert (rejected.topic, rejected.offset, rejected.at) == ("door:d1", 1, NOW)
    assert rejected.value == b'{"type":"page","name":"Home"}'


def test_the_time_of_sending_of_a_batch_corrects_the_clocks_of_its_events() -> None:
    late = PAGE | {"timestamp": "2026-04-01T00:00:00Z"}

    (verdict,) = batch(late, sentAt="2026-04-01T00:00:05Z")

    assert taken(verdict).at == NOW - 5_000


@pytest.mark.parametrize("items", [None, {}, [PAGE] * (MAX_BATCH_EVENTS + 1)])
def test_a_body_that_is_not_a_batch_is_refused_completely(items: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        Intake("d1").batch({"batch": items}, Arrival(b"", NOW))

    assert caught.value.field == "batch"


@pytest.mark.parametrize(
    ("body", "reason", "found"),
    [
        (b"", "bad_json", "''"),
        (b"{", "bad_json", "'{'"),
        ("{é\xff".encode("latin-1"), "bad_json", "'{\\\\xe9\\\\xff'"),
        (b"[]", "not_an_object", "list"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused_and_its_beginning_is_quoted(
    body: bytes, reason: str, found: str
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        Intake("d1").parse(body)

    assert (caught.value.reason, caught.value.found) == (reason, found)


DEEP = b"[" * 1_000 + b"]" * 1_000


@pytest.mark.parametrize("place", ["properties", "context", "type"])
def test_only_the_events_that_are_nested_too_deep_are_refused_and_the_body_is_kept_once(place: str) -> None:
    deep = b'{"userId":"u2","%s":%s}' % (place.encode(), DEEP)
    body = b'{"batch":[{"type":"page","userId":"u1"},%s,%s,{"type":"page","userId":"u3"}]}' % (deep, DEEP)

    first, second, third, fourth = sent(body)

    assert [taken(verdict).user for verdict in (first, fourth)] == ["u1", "u3"]
    assert [verdict.error.reason for verdict in (second, third) if isinstance(verdict, Refusal)] == ["too_deep"] * 2
    assert kept(second) == body
    # Otherwise the body of a batch with a thousand such events would be kept a thousand times.
    assert kept(third) == b"part of the body that door:d1/0/2 shows"


def test_the_beginning_of_a_large_body_is_kept() -> None:
    body = b'{"batch":[%s,"%s"]}' % (DEEP, b"x" * 100_000)

    assert kept(sent(body)[0]) == body[:65_536]


@pytest.mark.parametrize("place", ["properties", "type"])
def test_a_single_event_that_is_nested_too_deep_is_refused(place: str) -> None:
    body = b'{"userId":"u1","%s":%s}' % (place.encode(), DEEP)
    intake = Intake("d1")

    verdict = intake.one(intake.parse(body)[0], "page", Arrival(body, NOW))

    assert isinstance(verdict, Refusal)
    assert verdict.error.reason == ("bad_type" if place == "type" else "too_deep")
    assert kept(verdict) == body


def test_a_long_time_of_a_batch_is_not_repeated_in_every_dead_letter() -> None:
    refused = PAGE | {"timestamp": NOW, "userId": {}}
    verdicts = batch(refused, refused, sentAt="x" * 100_000)

    assert [verdict.error.field for verdict in verdicts if isinstance(verdict, Refusal)] == ["userId"] * 2
    assert all(len(kept(verdict)) < 200 for verdict in verdicts)


SECRET = rb"s3cret\"tail"


@pytest.mark.parametrize(
    "item",
    [
        b'{"type":"page","writeKey":"%s"}',
        b'{"writeKey" : "%s", "type":"page","userId":"u1","properties":{"a":"' + b"x" * MAX_EVENT_BYTES + b'"}}',
        b'{"writeKey":"%s","userId":"u1","properties":' + DEEP + b"}",
        rb'{"write\u004bey":"%s","userId":"u1","properties":' + DEEP + b"}",
    ],
)
def test_the_write_key_of_a_refused_event_is_not_kept(item: bytes) -> None:
    (verdict,) = sent(b'{"batch":[%s]}' % (item % SECRET))

    assert b"s3cret" not in kept(verdict)
    assert b"tail" not in kept(verdict)
    assert b"properties" in kept(verdict) or b"page" in kept(verdict)


def test_a_write_key_does_not_count_for_the_size_of_an_event() -> None:
    item = PAGE | {"writeKey": "x" * MAX_EVENT_BYTES}

    (verdict,) = sent(orjson.dumps({"batch": [item]}))

    assert isinstance(verdict, Acceptance)


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        (b'{"writeKey":"%s","batch":{}}', b'{"writeKey":"","batch":{}}'),
        (b'{"batch":[{"writeKey":"%s"},{"writeKey": "%s"}', b'{"batch":[{"writeKey":""},{"writeKey": ""}'),
        (b'{"batch":[],"writeKey":"%s', b'{"batch":[],"writeKey":""'),
        (b"{'batch': [], 'writeKey': '%s'}", b"{'batch': [], 'writeKey': \"\"}"),
        (b"writeKey=%s&type=page", b'writeKey=""&type=page'),
    ],
)
def test_the_write_key_of_a_refused_body_is_not_kept(body: bytes, rest: bytes) -> None:
    body = body.replace(b"%s", b"s3cret")

    intake = Intake("d1")
    with pytest.raises(InvalidEvent) as caught:
        intake.batch(intake.parse(body)[0], Arrival(body, NOW))

    assert kept(intake.refuse(body, caught.value, NOW)) == rest
    assert "s3cret" not in str(caught.value)


OUT = {"type": "track", "userId": "u9", "messageId": "o", "event": "Unsubscribed"}
GONE = {"type": "identify", "userId": "u8", "messageId": "g", "traits": {"unsubscribed": True}}


@pytest.mark.parametrize(
    "item",
    [
        OUT | {"properties": {"note": "x" * MAX_EVENT_BYTES}},
        GONE | {"timestamp": "soon"},
        GONE | {"traits": {"unsubscribed": True, "note": "x" * MAX_EVENT_BYTES}},
        GONE | {"context": {"page": "x" * MAX_EVENT_BYTES}},
    ],
)
def test_a_withdrawal_in_a_refused_event_is_written_in_addition_to_the_dead_letter(item: dict[str, Any]) -> None:
    refused, accepted = batch(item, PAGE)

    assert isinstance(accepted, Acceptance)
    assert isinstance(refused, Refusal)
    assert [event.user for event in refused.withdrawals] == [item["userId"]]
    assert refused.withdrawals == [refused.error.withdrawal]
    assert decode_rejected(refused.output.value).withdrawal


def test_a_withdrawal_in_an_event_that_is_nested_too_deep_counts() -> None:
    (verdict,) = sent(b'{"batch":[{"type":"track","userId":"u9","event":"Opted Out","properties":%s}]}' % DEEP)

    assert isinstance(verdict, Refusal)
    assert [(event.user, event.granted) for event in verdict.withdrawals] == [("u9", False)]


def test_the_withdrawals_in_a_refused_body_count() -> None:
    intake, error = Intake("d1"), InvalidEvent("bad_batch", "batch", "many", "fewer")
    raw = {"batch": [PAGE, OUT, 5, GONE]}

    refusal = intake.refuse_parsed(raw, None, Arrival(b"{}", NOW), error)

    assert [event.user for event in refusal.withdrawals] == ["u9", "u8"]
    assert refusal.error.withdrawal == refusal.withdrawals[0]


def test_a_withdrawal_at_the_wrong_address_counts() -> None:
    verdict = Intake("d1").one(dict(GONE), "track", Arrival(b"{}", NOW))

    assert isinstance(verdict, Refusal)
    assert [event.traits for event in verdict.withdrawals] == [{"unsubscribed": True}]


def test_a_dead_letter_states_the_origin_and_trust_of_its_record() -> None:
    arrival = Arrival(b"{}", NOW, "live", Admission(WriteKeys(), "public"))
    verdict = Intake("d1").one({"userId": "u1", "event": "Consent Given"}, "track", arrival)

    assert isinstance(verdict, Refusal)
    letter = decode_rejected(verdict.output.value)
    assert (letter.origin, letter.trust) == ("live", "public")
