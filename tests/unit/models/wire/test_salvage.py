"""Withdrawals of consent in records that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidEvent
from models.wire import MAX_RECORD_BYTES, convert, withdrawal_in
from tests.support.wire_records import NOW, RECEIVED, identify, native, refused, said, spellings, track, warned


@pytest.mark.parametrize(
    "broken",
    [
        {"timestamp": "yesterday"},
        {"timestamp": 1_777_636_800},
        {"timestamp": "2036-01-01T00:00:00Z"},
        {"timestamp": "1970-01-01T00:00:00Z"},
        {"messageId": {"a": 1}},
        {"messageId": "x" * 500},
        {"properties": "none"},
        {"properties": {"reason": ["x"]}},
        {"properties": {"deep": [[[[[[[[[1]]]]]]]]]}},
        {"properties": {"large": "x" * 40_000}},
        {"userId": 42},
    ],
)
def test_a_withdrawal_with_a_bad_detail_is_accepted_with_a_warning(broken: dict[str, Any]) -> None:
    event, warnings = warned(track("Unsubscribed") | broken)

    assert said(event) == ("consent", False, None)
    assert event.user == str(broken.get("userId", "u1"))
    assert event.at == NOW
    assert len(warnings) <= 1


@pytest.mark.parametrize(
    "more",
    [{"chanel": "email"}, {"at": "soon"}, {"id": 7}, {"origin": "mars"}, {"reason": 5}, {"userId": "u1"}],
)
def test_a_withdrawal_in_the_short_form_counts_with_any_bad_field_beside_it(more: dict[str, Any]) -> None:
    event, warnings = warned(native("consent", granted=False) | more)

    assert said(event) == ("consent", False, None)
    assert event.user == "u1"
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "raw",
    [
        identify() | {"timestamp": "soon", "traits": {"unsubscribed": True, "plan": "pro"}},
        identify() | {"timestamp": [], "context": {"traits": {"unsubscribed": True}}},
        identify({"unsubscribed": True, "bio": "x" * 40_000}),
        {"type": "track", "userId": "u1", "context": {"traits": {"unsubscribed": True}}},
        {"type": "dance", "userId": "u1", "context": {"traits": {"unsubscribed": True}}},
        {"type": "identify", "user": "u1", "trait": 1, "traits": {"unsubscribed": True}},
        {"type": "identify", "user": "u1", "userId": "u1", "traits": {"unsubscribed": True}},
        identify({"unsubscribed": True, "bio": "x" * MAX_RECORD_BYTES}),
    ],
)
def test_only_the_withdrawal_in_a_refused_record_counts(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as parsed:
        convert(raw, RECEIVED)
    for withdrawal in (refused(raw).withdrawal, parsed.value.withdrawal):
        assert withdrawal is not None
        assert (withdrawal.user, withdrawal.type, withdrawal.traits) == ("u1", "identify", {"unsubscribed": True})
        assert withdrawal.id.endswith("~withdrawal")


def test_a_withdrawal_in_a_record_that_is_too_large_counts() -> None:
    error = refused(track("Unsubscribed", channel="email", note="x" * MAX_RECORD_BYTES))

    assert (error.reason, said(error.withdrawal)) == ("too_large", ("consent", False, "email"))


def test_a_withdrawal_counts_beside_a_value_that_json_cannot_express() -> None:
    raw = track("Unsubscribed", why={1: object()})

    with pytest.raises(InvalidEvent) as caught:
        convert(raw, RECEIVED)

    assert said(caught.value.withdrawal) == ("consent", False, None)


@pytest.mark.parametrize(
    "raw", [5, None, [], {}, {"type": "track", "event": "Unsubscribed"}, track("Lamp Lit"), identify()]
)
def test_a_record_without_a_withdrawing_statement_or_a_user_gives_no_withdrawal(raw: Any) -> None:
    assert withdrawal_in(raw, RECEIVED) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["user", "userId", "traits", "context", "consent", "channel"]), inner)
        ),
        max_leaves=12,
    ).flatmap(lambda some: st.fixed_dictionaries({name: st.just(some) for name in ("userId", "traits", "properties")}))
)
def test_the_search_for_a_withdrawal_never_fails(some: dict[str, Any]) -> None:
    for more in ({"type": "track", "event": "Unsubscribed"}, {"type": "identify"}, {"type": "consent", "user": "u"}):
        withdrawal_in({**some, **more}, RECEIVED)


@pytest.mark.parametrize(
    "raw",
    [
        {"event": "Unsubscribed", "userId": "u1"},
        {"type": "Track", "event": "Unsubscribed", "userId": "u1"},
        {"type": "track", "event": "Unsubscribed", "user": "", "userId": "u1"},
        {"type": "Unsubscribed", "user": "u1"},
        {"type": "unsubscribe", "userId": "u1"},
        {"name": "Unsubscribed", "user": "u1"},
        {"type": "consent", "userId": "u1", "granted": False},
        {"type": "Consent", "user": "u1", "granted": "no"},
        {"type": " CONSENT ", "user": "u1", "granted": False},
    ],
)
def test_a_withdrawal_counts_with_a_wrong_type_and_in_a_mixed_form(raw: dict[str, Any]) -> None:
    event, warnings = warned(raw)

    assert (event.user, said(event)) == ("u1", ("consent", False, None))
    assert warnings


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "page", "userId": "u1", "timestamp": "soon"},
        {"type": "click", "user": "u1"},
        {"type": "group", "userId": "u1"},
    ],
)
def test_an_event_that_contradicts_the_type_of_a_refused_record_withdraws(raw: dict[str, Any]) -> None:
    event, warnings = warned(raw | {"event": "Unsubscribed"})

    assert (event.user, said(event)) == ("u1", ("consent", False, None))
    assert warnings


@pytest.mark.parametrize("call", ["page", "screen", "group"])
def test_the_name_of_a_page_is_not_a_withdrawal(call: str) -> None:
    assert refused({"type": call, "userId": "u1", "name": "Unsubscribed", "timestamp": "soon"}).withdrawal is None


@pytest.mark.parametrize(
    "raw",
    [
        native("custom", name="Email Unsubscribed", traits={"sms_opt_out": True}),
        {"type": "track", "userId": "u1", "event": "Email Unsubscribed", "traits": {"sms_opt_out": True}},
        {"event": "Email Unsubscribed", "userId": "u1", "context": {"traits": {"sms_opt_out": True}}},
    ],
)
def test_a_second_withdrawal_in_the_traits_is_kept(raw: dict[str, Any]) -> None:
    event, _ = warned(raw)

    assert (said(event), event.traits) == (("consent", False, "email"), {"sms_opt_out": True})


def test_a_withdrawal_counts_beside_a_number_that_python_refuses_to_write() -> None:
    raw = track("Unsubscribed", note=10**5_000) | {"timestamp": 10**5_000, "messageId": 10**5_000}

    withdrawal = withdrawal_in(raw, RECEIVED)

    assert said(withdrawal) == ("consent", False, None)
    assert withdrawal_in(raw | {"userId": 10**5_000}, RECEIVED) is None


def test_a_withdrawal_in_an_unknown_field_of_the_short_form_counts() -> None:
    withdrawal = refused({"type": "identify", "user": "u1", "email_opt_out": True}).withdrawal

    assert withdrawal is not None
    assert withdrawal.traits == {"email_opt_out": True}


def test_many_spellings_of_a_trait_in_a_refused_record_give_one_statement() -> None:
    withdrawal = refused(identify() | {"traits": spellings(True)}).withdrawal

    assert withdrawal is not None
    assert list((withdrawal.traits or {}).values()) == [True]
