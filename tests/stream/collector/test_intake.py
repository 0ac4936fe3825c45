from __future__ import annotations

from typing import Any

import pytest

from models.errors import InvalidEvent
from models.events import Event
from models.rejected import decode_rejected
from stream.collector.intake import BATCH_EVENTS, EVENT_BYTES, Intake, Refusal, Verdict

NOW = 1_777_636_800_250
PAGE = {"type": "page", "userId": "u1"}


def batch(*items: Any, **said: Any) -> list[Verdict]:
    return Intake("d1").batch({"batch": list(items), **said}, NOW, "live")


def test_the_address_says_what_call_it_is() -> None:
    verdict = Intake("d1").one({"userId": "u1", "name": "Home"}, "page", NOW, "live")

    assert isinstance(verdict, Event)
    assert (verdict.type, verdict.name) == ("page_view", "Home")


def test_a_body_of_another_call_is_refused() -> None:
    verdict = Intake("d1").one({"userId": "u1", "type": "page"}, "track", NOW, "live")

    assert isinstance(verdict, Refusal)
    assert (verdict.error.reason, verdict.error.field) == ("bad_type", "type")


def test_the_short_form_is_read_at_any_address() -> None:
    verdict = Intake("d1").one({"user": "u1", "type": "click", "item": "a"}, "track", NOW, "live")

    assert isinstance(verdict, Event)
    assert (verdict.type, verdict.item) == ("click", "a")


def test_two_equal_events_without_a_message_id_stay_two() -> None:
    one, other = batch(dict(PAGE), dict(PAGE))

    assert isinstance(one, Event)
    assert isinstance(other, Event)
    assert (one.id, other.id) == ("door:d1/0/1", "door:d1/0/2")


def test_doors_never_give_the_same_id() -> None:
    ids = {Intake(name).source().id for name in ("d1", "d2")}

    assert len(ids) == 2


def test_each_event_of_a_batch_is_judged_by_itself() -> None:
    verdicts = batch(PAGE, {"type": "page"}, 5, {"type": "track", "userId": "u1"}, {"user": "u1", "type": "click"})

    assert [verdict.error.reason if isinstance(verdict, Refusal) else verdict.type for verdict in verdicts] == [
        "page_view",
        "missing_user",
        "not_an_object",
        "missing_field",
        "click",
    ]


def test_a_large_event_spoils_only_itself() -> None:
    large = PAGE | {"properties": {"a": "x" * EVENT_BYTES}}

    first, second = batch(large, PAGE)

    assert isinstance(first, Refusal)
    assert first.error.reason == "too_large"
    assert isinstance(second, Event)


def test_a_refused_event_is_kept_for_the_dead_letter_topic() -> None:
    (verdict,) = batch({"type": "page", "name": "Home"})

    assert isinstance(verdict, Refusal)
    rejected = decode_rejected(verdict.output.value)
    assert (rejected.topic, rejected.offset, rejected.at) == ("door:d1", 1, NOW)
    assert rejected.value == b'{"type":"page","name":"Home"}'


def test_when_a_batch_was_sent_corrects_the_clocks_of_its_events() -> None:
    late = PAGE | {"timestamp": "2026-04-01T00:00:00Z"}

    (verdict,) = batch(late, sentAt="2026-04-01T00:00:05Z")

    assert isinstance(verdict, Event)
    assert verdict.at == NOW - 5_000


@pytest.mark.parametrize("items", [None, {}, [], [PAGE] * (BATCH_EVENTS + 1)])
def test_what_is_no_batch_is_refused_as_a_whole(items: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        Intake("d1").batch({"batch": items}, NOW, "live")

    assert caught.value.field == "batch"


@pytest.mark.parametrize(("body", "reason"), [(b"", "bad_json"), (b"{", "bad_json"), (b"[]", "not_an_object")])
def test_what_is_no_json_object_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        Intake("d1").parse(body)

    assert caught.value.reason == reason
