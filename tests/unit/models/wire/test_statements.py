"""Traits that state something about consent."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import EventWarning, InvalidEvent
from models.events import decode_event, encode_event
from models.rejected import decode_rejected, reject_details
from models.wire import decode
from models.wire.statements import MAX_HINTS, withdrawing
from tests.support.wire_records import NOW, RECEIVED, SOURCE, identify, spellings, warned


@pytest.mark.parametrize(
    ("traits", "withdraws"),
    [
        ({"unsubscribed": True}, True),
        ({"Unsubscribed": "true"}, True),
        ({"subscribed": False}, True),
        ({"email_opt_out": "yes"}, True),
        ({"emailOptOut": 1}, True),
        ({"sms_opt_out": "1"}, True),
        ({"marketing_consent": "No"}, True),
        ({"consent": False}, True),
        ({"email_subscribe": "unsubscribed"}, True),
        ({"email_subscribe": "opted_in"}, False),
        ({"unsubscribed": False}, False),
        ({"subscribed": True}, False),
        ({"consent": True}, False),
        ({"marketing_consent": 1}, False),
    ],
)
def test_a_trait_withdraws_with_one_value_and_gives_only_a_hint_with_the_other(
    traits: dict[str, Any], withdraws: bool
) -> None:
    for raw in (identify() | {"traits": traits}, identify() | {"context": {"traits": traits}}):
        event, warnings = warned(raw)

        assert (event.type, event.granted) == ("identify", None)
        assert event.traits == traits
        assert bool(withdrawing(event.traits)) is withdraws
        assert [warning.reason for warning in warnings] == ([] if withdraws else ["no_grant"])
        assert not any(warning.rejected for warning in warnings)


@pytest.mark.parametrize("value", ["maybe", 2, {"email": True}, ["email"], "2026-01-01"])
def test_an_unclear_value_gives_a_dead_letter_and_a_warning_that_names_the_trait(value: Any) -> None:
    event, (warning,) = warned(identify({"plan": "pro", "marketing_consent": value}))

    assert event.traits is not None
    assert event.traits["plan"] == "pro"
    assert (warning.reason, warning.field, warning.rejected) == ("bad_consent", "traits.marketing_consent", True)


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_value_says_nothing(value: Any) -> None:
    assert warned(identify({"unsubscribed": value}))[1] == []


@pytest.mark.parametrize("call", [{"type": "page"}, {"type": "track", "event": "Lamp Lit"}, {"type": "screen"}])
def test_only_the_statements_in_the_context_of_a_call_are_kept(call: dict[str, Any]) -> None:
    traits = {"email": "eve@example.org", "unsubscribed": True, "plan": "pro"}

    event, _ = warned(call | {"userId": "u1", "context": {"traits": traits, "ip": "::1"}})

    assert event.traits == {"unsubscribed": True}


def test_the_traits_of_a_group_say_nothing_about_the_user() -> None:
    event, _ = warned({"type": "group", "userId": "u1", "groupId": "g", "traits": {"unsubscribed": True}})

    assert event.traits is None


def test_a_withdrawal_in_the_context_takes_precedence_over_the_opposite_in_the_traits() -> None:
    said = {"traits": {"unsubscribed": False}, "context": {"traits": {"unsubscribed": True, "plan": "x"}}}

    event, _ = warned(identify() | said)

    assert event.traits == {"unsubscribed": True}


DEEP = "[" * 1_000 + "]" * 1_000


@pytest.mark.parametrize(
    "record",
    [
        '{"type":"page","userId":"u1","context":{"traits":{"unsubscribed":%s}}}',
        '{"type":"page","userId":"u1","traits":{"unsubscribed":%s}}',
        '{"type":"click","user":"u1","traits":{"unsubscribed":%s}}',
        '{"type":"identify","user":"u1","traits":{"unsubscribed":%s}}',
    ],
)
def test_a_deeply_nested_statement_never_reaches_the_log(record: str) -> None:
    warnings: list[EventWarning] = []
    try:
        event = decode((record % DEEP).encode(), RECEIVED, warnings)
    except InvalidEvent as error:
        reason = error.reason
    else:
        reason = "too_deep"
        assert decode_event(encode_event(event)) == event
        assert not event.traits
        assert [(one.reason, one.rejected) for one in warnings] == [("bad_consent", True)]
    assert reason == "too_deep"


def test_many_spellings_of_a_trait_give_one_statement() -> None:
    event, _ = warned({"type": "page", "userId": "u1", "context": {"traits": spellings(True)}})

    assert list((event.traits or {}).values()) == [True]


def test_many_unclear_statements_give_one_dead_letter() -> None:
    _, warnings = warned({"type": "page", "userId": "u1", "context": {"traits": spellings("maybe")}})

    letters = reject_details(b"{}", SOURCE, warnings, at=NOW)
    assert [letter.key for letter in letters] == [f"{SOURCE.id}#traits".encode()]
    assert decode_rejected(letters[0].value).found.startswith("2000 unclear: unsubscribed, u_nsubscribed")


def test_the_number_of_hints_about_one_event_is_limited() -> None:
    _, warnings = warned({"type": "page", "userId": "u1", "context": {"traits": spellings(False)}})

    assert len(warnings) == MAX_HINTS


@pytest.mark.parametrize("call", ["identify", "track", "page"])
def test_a_withdrawal_in_a_field_of_another_name_counts(call: str) -> None:
    raw = {"type": call, "userId": "u1", "event": "Trial Started", "unsubscribed": True}

    event, warnings = warned(raw)

    assert (event.traits, warnings) == ({"unsubscribed": True}, [])


def test_the_opposite_value_in_a_field_of_another_name_says_nothing() -> None:
    event, warnings = warned(identify() | {"unsubscribed": False, "marketing_consent": True, "traits": {"plan": "pro"}})

    assert (event.traits, warnings) == ({"plan": "pro"}, [])


def test_a_trait_that_only_resembles_a_withdrawal_is_kept_with_a_warning() -> None:
    event, warnings = warned(identify({"unsubscribed_at": "2026-01-01", "push_opt_out": None}))

    assert event.traits == {"unsubscribed_at": "2026-01-01", "push_opt_out": None}
    assert [(one.reason, one.field) for one in warnings] == [("no_withdrawal", "traits.unsubscribed_at")]
