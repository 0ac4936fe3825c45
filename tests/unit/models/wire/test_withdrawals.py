"""What is read as a withdrawal of consent, what never is a grant, and what of a refused record still counts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin, Trust, decode_event, encode_event
from models.rejected import decode_rejected, reject_details
from models.source import Received
from models.wire import MAX_RECORD_BYTES, convert, decode, withdrawal_in, withdrawals
from models.wire.statements import MAX_HINTS, withdrawing
from tests.support.wire_records import NOW, RECEIVED, SOURCE, native, track

TRACK = {"type": "track", "userId": "u1", "messageId": "m1"}
IDENTIFY = {"type": "identify", "userId": "u1", "messageId": "m1"}


def read(raw: Any, *, trust: Trust = "server", origin: Origin = "live") -> tuple[Event, list[EventWarning]]:
    warnings: list[EventWarning] = []
    event = decode(orjson.dumps(raw), Received(SOURCE, NOW, origin, trust), warnings)
    return event, warnings


def refused(raw: Any, *, trust: Trust = "server", origin: Origin = "live") -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        read(raw, trust=trust, origin=origin)
    return caught.value


def said(event: Event | None) -> tuple[str, bool | None, str | None] | None:
    return None if event is None else (event.type, event.granted, event.channel)


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("Unsubscribed", None),
        ("Consent Withdrawn", None),
        ("Marketing Opt Out", None),
        ("Opted Out", None),
        ("Email Unsubscribed", "email"),
        (" email_unsubscribed ", "email"),
        ("emailUnsubscribed", "email"),
        ("SMS Opt-Out", "sms"),
        ("Email Marked as Spam", "email"),
        ("Spam Reported", "email"),
    ],
)
def test_a_name_of_the_table_withdraws_in_both_forms_and_in_any_spelling(name: str, channel: str | None) -> None:
    assert said(read(track(name))[0]) == ("consent", False, channel)
    assert said(read(native("custom", name=name))[0]) == ("consent", False, channel)


@pytest.mark.parametrize("name", withdrawals.EVENTS)
def test_every_name_of_the_table_is_a_withdrawal_and_says_whether_it_is_a_complaint(name: str) -> None:
    event, warnings = read(track(name))

    assert (event.type, event.granted) == ("consent", False)
    assert event.complaint == ("spam" in name.lower() or "compla" in name.lower())
    assert warnings == []


@pytest.mark.parametrize("name", ["Unsubscribe Link Clicked", "Subscription Cancelled", "Email Opened", "Opt In"])
def test_another_name_is_a_custom_event(name: str) -> None:
    assert read(track(name))[0].type == "custom"


@pytest.mark.parametrize(
    ("channel", "read_as"),
    [
        ("email", "email"),
        ("EMAIL", "email"),
        ("Email ", "email"),
        ("e-mail", "email"),
        ("SMS", "sms"),
        ("text", "sms"),
        (["email"], "email"),
        ("push", None),
        ("all", None),
        ("", None),
        (None, None),
        (7, None),
        ({"email": True}, None),
        (["email", "sms"], None),
    ],
)
def test_the_channel_of_a_withdrawal_is_read_leniently_and_an_unknown_one_is_all(
    channel: Any, read_as: str | None
) -> None:
    assert said(read(track("Unsubscribed", channel=channel))[0]) == ("consent", False, read_as)
    assert said(read(native("consent", granted=False, channel=channel))[0]) == ("consent", False, read_as)


def test_a_channel_that_contradicts_the_name_withdraws_all() -> None:
    assert read(track("Email Unsubscribed", channel="sms"))[0].channel is None


@pytest.mark.parametrize("granted", [False, "false", "False", "no", 0, "0", "off"])
def test_a_no_in_the_short_form_is_read_leniently(granted: Any) -> None:
    assert said(read(native("consent", granted=granted, channel="EMAIL"))[0]) == ("consent", False, "email")


@pytest.mark.parametrize(
    "raw",
    [
        native("consent", granted="true", channel="email"),
        native("consent", granted=1, channel="email"),
        native("consent", granted="maybe", channel="email"),
        native("consent", granted=True, channel="Email"),
        native("consent", granted=True),
        native("consent", channel="email"),
        track("Consent Given", channel="EMAIL"),
        track("Consent Given", channel="push"),
        track("Consent Given"),
    ],
)
def test_a_grant_is_read_strictly(raw: dict[str, Any]) -> None:
    assert refused(raw).withdrawal is None


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
def test_no_bad_detail_refuses_a_withdrawal_and_a_warning_names_it(broken: dict[str, Any]) -> None:
    event, warnings = read(TRACK | {"event": "Unsubscribed"} | broken)

    assert said(event) == ("consent", False, None)
    assert event.user == str(broken.get("userId", "u1"))
    assert event.at == NOW
    assert len(warnings) <= 1


@pytest.mark.parametrize(
    "more",
    [{"chanel": "email"}, {"at": "soon"}, {"id": 7}, {"origin": "mars"}, {"reason": 5}, {"userId": "u1"}],
)
def test_a_withdrawal_in_the_short_form_counts_whatever_stands_beside_it(more: dict[str, Any]) -> None:
    event, warnings = read(native("consent", granted=False) | more)

    assert said(event) == ("consent", False, None)
    assert event.user == "u1"
    assert len(warnings) == 1


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
def test_a_trait_withdraws_with_one_value_and_with_the_other_it_is_only_a_hint(
    traits: dict[str, Any], withdraws: bool
) -> None:
    for raw in (IDENTIFY | {"traits": traits}, IDENTIFY | {"context": {"traits": traits}}):
        event, warnings = read(raw)

        assert (event.type, event.granted) == ("identify", None)
        assert event.traits == traits
        assert bool(withdrawing(event.traits)) is withdraws
        assert [warning.reason for warning in warnings] == ([] if withdraws else ["no_grant"])
        assert not any(warning.rejected for warning in warnings)


@pytest.mark.parametrize("value", ["maybe", 2, {"email": True}, ["email"], "2026-01-01"])
def test_a_value_that_is_neither_is_a_dead_letter_of_its_trait_and_a_warning_that_names_it(value: Any) -> None:
    event, (warning,) = read(IDENTIFY | {"traits": {"plan": "pro", "marketing_consent": value}})

    assert event.traits is not None
    assert event.traits["plan"] == "pro"
    assert (warning.reason, warning.field, warning.rejected) == ("bad_consent", "traits.marketing_consent", True)


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_value_says_nothing(value: Any) -> None:
    assert read(IDENTIFY | {"traits": {"unsubscribed": value}})[1] == []


@pytest.mark.parametrize("call", [{"type": "page"}, {"type": "track", "event": "Lamp Lit"}, {"type": "screen"}])
def test_statements_in_the_context_of_any_call_are_kept_and_nothing_else_of_it(call: dict[str, Any]) -> None:
    traits = {"email": "eve@example.org", "unsubscribed": True, "plan": "pro"}

    event, _ = read(call | {"userId": "u1", "context": {"traits": traits, "ip": "::1"}})

    assert event.traits == {"unsubscribed": True}


def test_the_traits_of_a_group_say_nothing_about_the_user() -> None:
    event, _ = read({"type": "group", "userId": "u1", "groupId": "g", "traits": {"unsubscribed": True}})

    assert event.traits is None


def test_a_withdrawal_in_the_context_wins_over_the_opposite_beside_it() -> None:
    said = {"traits": {"unsubscribed": False}, "context": {"traits": {"unsubscribed": True, "plan": "x"}}}

    event, _ = read(IDENTIFY | said)

    assert event.traits == {"unsubscribed": True}


@pytest.mark.parametrize(
    "raw",
    [
        IDENTIFY | {"timestamp": "soon", "traits": {"unsubscribed": True, "plan": "pro"}},
        IDENTIFY | {"timestamp": [], "context": {"traits": {"unsubscribed": True}}},
        IDENTIFY | {"traits": {"unsubscribed": True, "bio": "x" * 40_000}},
        {"type": "track", "userId": "u1", "context": {"traits": {"unsubscribed": True}}},
        {"type": "dance", "userId": "u1", "context": {"traits": {"unsubscribed": True}}},
        {"type": "identify", "user": "u1", "trait": 1, "traits": {"unsubscribed": True}},
        {"type": "identify", "user": "u1", "userId": "u1", "traits": {"unsubscribed": True}},
        IDENTIFY | {"traits": {"unsubscribed": True, "bio": "x" * MAX_RECORD_BYTES}},
    ],
)
def test_the_withdrawal_in_a_refused_record_counts_and_nothing_else_of_it(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as parsed:
        convert(raw, RECEIVED)
    for withdrawal in (refused(raw).withdrawal, parsed.value.withdrawal):
        assert withdrawal is not None
        assert (withdrawal.user, withdrawal.type, withdrawal.traits) == ("u1", "identify", {"unsubscribed": True})
        assert withdrawal.id.endswith("~withdrawal")


def test_a_withdrawal_in_a_record_that_is_too_large_counts() -> None:
    error = refused(track("Unsubscribed", channel="email", note="x" * MAX_RECORD_BYTES))

    assert (error.reason, said(error.withdrawal)) == ("too_large", ("consent", False, "email"))


def test_what_json_cannot_say_hides_no_withdrawal() -> None:
    raw = track("Unsubscribed", why={1: object()})

    with pytest.raises(InvalidEvent) as caught:
        convert(raw, RECEIVED)

    assert said(caught.value.withdrawal) == ("consent", False, None)


@pytest.mark.parametrize(
    "raw", [5, None, [], {}, {"type": "track", "event": "Unsubscribed"}, track("Lamp Lit"), IDENTIFY]
)
def test_where_nothing_is_withdrawn_or_nobody_is_named_there_is_no_withdrawal(raw: Any) -> None:
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
def test_looking_for_a_withdrawal_never_fails(some: dict[str, Any]) -> None:
    for more in ({"type": "track", "event": "Unsubscribed"}, {"type": "identify"}, {"type": "consent", "user": "u"}):
        withdrawal_in({**some, **more}, RECEIVED)


class TestPublicKeys:
    """What a record may say that came with a key that stands in a page."""

    def test_a_grant_is_accepted_with_a_warning_and_marked(self) -> None:
        event, (warning,) = read(track("Consent Given", channel="email", confirmed=True), trust="public")

        assert (event.trust, event.confirmed) == ("public", False)
        assert warning.reason == "needs_server_key"

    def test_a_complaint_is_only_a_withdrawal(self) -> None:
        event, _ = read(track("Email Marked as Spam"), trust="public")

        assert (event.granted, event.complaint) == (False, False)

    @pytest.mark.parametrize("origin", ["test", "live", "replay", "mars"])
    def test_it_says_no_origin(self, origin: str) -> None:
        assert refused(native("click", item="a", origin=origin), trust="public").reason == "bad_origin"

    def test_its_door_says_no_origin_either(self) -> None:
        assert refused(native("click", item="a"), trust="public", origin="test").reason == "bad_origin"

    def test_it_reports_no_bounce(self) -> None:
        assert refused(track("Email Bounced", hard=True), trust="public").reason == "needs_server_key"

    def test_it_withdraws_for_the_user_that_it_names(self) -> None:
        event, _ = read(track("Unsubscribed"), trust="public")

        assert (event.user, event.granted, event.trust) == ("u1", False, "public")


def test_a_grant_is_confirmed_only_by_a_server_and_in_so_many_words() -> None:
    assert read(track("Consent Given", channel="email", confirmed=True))[0].confirmed
    assert read(native("consent", granted=True, channel="email", confirmed=True))[0].confirmed
    assert not read(track("Consent Given", channel="email", confirmed="true"))[0].confirmed


@pytest.mark.parametrize(
    ("raw", "user"),
    [
        (native("click", item="a", origin="test"), "test:u1"),
        ({"type": "page", "userId": "u1"}, "test:u1"),
        ({"type": "page", "anonymousId": "x"}, "test:anonymous:x"),
        ({"type": "page", "userId": "test:u1"}, "test:u1"),
    ],
)
def test_a_test_event_belongs_to_a_user_of_its_own(raw: dict[str, Any], user: str) -> None:
    event, _ = read(raw, origin="test")

    assert (event.user, event.origin) == (user, "test")
    assert event.identified == ("anonymous" not in user)


def test_so_does_the_withdrawal_in_a_refused_test_event() -> None:
    withdrawal = refused(IDENTIFY | {"timestamp": "soon", "traits": {"unsubscribed": True}}, origin="test").withdrawal

    assert withdrawal is not None
    assert (withdrawal.user, withdrawal.origin) == ("test:u1", "test")


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
def test_a_statement_that_nests_without_end_never_reaches_the_log(record: str) -> None:
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


def spellings(value: Any) -> dict[str, Any]:
    """Two thousand spellings of one name."""
    name = "unsubscribed"
    return {"".join(letter + "_" * (n >> i & 1) for i, letter in enumerate(name)): value for n in range(2_000)}


def test_any_number_of_spellings_is_one_statement_beside_an_event() -> None:
    event, _ = read({"type": "page", "userId": "u1", "context": {"traits": spellings(True)}})

    assert list((event.traits or {}).values()) == [True]


def test_any_number_of_spellings_is_one_statement_of_a_refused_record() -> None:
    withdrawal = refused(IDENTIFY | {"traits": spellings(True)}).withdrawal

    assert withdrawal is not None
    assert list((withdrawal.traits or {}).values()) == [True]


def test_any_number_of_unclear_statements_is_one_dead_letter() -> None:
    _, warnings = read({"type": "page", "userId": "u1", "context": {"traits": spellings("maybe")}})

    letters = reject_details(b"{}", SOURCE, warnings, at=NOW)
    assert [letter.key for letter in letters] == [f"{SOURCE.id}#traits".encode()]
    assert decode_rejected(letters[0].value).found.startswith("2000 unclear: unsubscribed, u_nsubscribed")


def test_no_more_hints_are_given_than_anybody_reads() -> None:
    _, warnings = read({"type": "page", "userId": "u1", "context": {"traits": spellings(False)}})

    assert len(warnings) == MAX_HINTS


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
def test_a_withdrawal_counts_whatever_its_type_and_form_are(raw: dict[str, Any]) -> None:
    event, warnings = read(raw)

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
    event, warnings = read(raw | {"event": "Unsubscribed"})

    assert (event.user, said(event)) == ("u1", ("consent", False, None))
    assert warnings


@pytest.mark.parametrize("call", ["page", "screen", "group"])
def test_the_name_of_a_page_is_no_withdrawal(call: str) -> None:
    assert refused({"type": call, "userId": "u1", "name": "Unsubscribed", "timestamp": "soon"}).withdrawal is None


@pytest.mark.parametrize(
    "raw",
    [
        native("custom", name="Email Unsubscribed", traits={"sms_opt_out": True}),
        {"type": "track", "userId": "u1", "event": "Email Unsubscribed", "traits": {"sms_opt_out": True}},
        {"event": "Email Unsubscribed", "userId": "u1", "context": {"traits": {"sms_opt_out": True}}},
    ],
)
def test_a_withdrawal_beside_a_withdrawal_is_kept(raw: dict[str, Any]) -> None:
    event, _ = read(raw)

    assert (said(event), event.traits) == (("consent", False, "email"), {"sms_opt_out": True})


@pytest.mark.parametrize("granted", ["maybe", "pending", "true", 1, [], {}, "", None])
def test_a_grant_that_does_not_say_true_is_no_grant(granted: Any) -> None:
    assert refused(track("Consent Given", channel="email", granted=granted)).field == "properties.granted"


def test_a_number_that_python_refuses_to_write_hides_no_withdrawal() -> None:
    raw = track("Unsubscribed", note=10**5_000) | {"timestamp": 10**5_000, "messageId": 10**5_000}

    withdrawal = withdrawal_in(raw, RECEIVED)

    assert said(withdrawal) == ("consent", False, None)
    assert withdrawal_in(raw | {"userId": 10**5_000}, RECEIVED) is None


@pytest.mark.parametrize("call", ["identify", "track", "page"])
def test_a_withdrawal_beside_the_fields_of_a_record_counts(call: str) -> None:
    raw = {"type": call, "userId": "u1", "event": "Trial Started", "unsubscribed": True}

    event, warnings = read(raw)

    assert (event.traits, warnings) == ({"unsubscribed": True}, [])


def test_the_other_value_beside_the_fields_of_a_record_says_nothing() -> None:
    event, warnings = read(IDENTIFY | {"unsubscribed": False, "marketing_consent": True, "traits": {"plan": "pro"}})

    assert (event.traits, warnings) == ({"plan": "pro"}, [])


def test_a_withdrawal_beside_the_fields_of_a_refused_short_record_counts() -> None:
    withdrawal = refused({"type": "identify", "user": "u1", "email_opt_out": True}).withdrawal

    assert withdrawal is not None
    assert withdrawal.traits == {"email_opt_out": True}


@pytest.mark.parametrize("name", ["Push Unsubscribed", "Unsubscribes", "WhatsApp Opt-Out"])
def test_a_name_that_only_resembles_a_withdrawal_is_kept_with_a_warning(name: str) -> None:
    event, warnings = read(track(name))

    assert (event.type, event.name) == ("custom", name)
    assert [(one.reason, one.field, one.rejected) for one in warnings] == [("no_withdrawal", "event", False)]


def test_a_trait_that_only_resembles_a_withdrawal_is_kept_with_a_warning() -> None:
    event, warnings = read(IDENTIFY | {"traits": {"unsubscribed_at": "2026-01-01", "push_opt_out": None}})

    assert event.traits == {"unsubscribed_at": "2026-01-01", "push_opt_out": None}
    assert [(one.reason, one.field) for one in warnings] == [("no_withdrawal", "traits.unsubscribed_at")]
