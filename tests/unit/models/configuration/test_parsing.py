from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions.schema import FORMS
from models.conditions.writing import hash_of, plain
from models.configuration.compiled import Cap, ChurnSettings, Configuration, QuietHours, decode, encode
from models.configuration.definition import Definition
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.errors import InvalidConfiguration
from models.units import DAY, HOUR
from models.wire.withdrawals import NamedWithdrawal, StatingTrait
from tests.support.condition_runs import random_case

TEMPLATES = {"win_back": Template("We miss you", "Hello {{ first_name }}", fallback="Subject: Hello\n\nHello.\n")}
RULE: dict[str, Any] = {"name": "win_back", "when": {"churn_risk": {"crosses": 0.7}}}
SEGMENT: dict[str, Any] = {"name": "free", "when": {"trait": "plan", "is": "free"}}


def test_a_file_with_every_section_is_read() -> None:
    read = parse(
        {
            "timezone": "Europe/Berlin",
            "churn": {"activity": ["purchase"], "horizon": "3w"},
            "rules": [
                {**RULE, "channels": ["sms", "email"], "expires_after": "2h", "cooldown": "30d"},
                {"name": "left", "template": "win_back", "when": {"cart_left": {"for": "1h"}}},
                {"name": "pro", "template": "win_back", "when": {"event": "Trial Started", "where": {"plan": "pro"}}},
                {"name": "receipt", "template": "win_back", "category": "transactional", "when": {"event": "refund"}},
                {"name": "big", "template": "win_back", "when": {"entered_segment": "big spenders"}},
                {"name": "first", "template": "win_back", "when": {"first_purchase": True}},
            ],
            "caps": [{"messages": 3, "within": "7d"}, {"messages": 1, "within": "7d", "channel": "sms"}],
            "quiet_hours": {"from": "21:00", "to": "08:30"},
        },
        TEMPLATES,
    )

    assert read.timezone == "Europe/Berlin"
    assert read.churn == ChurnSettings(activity=("purchase",), horizon_days=21)
    assert read.rules[0].channels == ("sms", "email")
    assert (read.rules[0].expires_after, read.rules[0].cooldown) == (2 * HOUR, 30 * DAY)
    assert [one.when.kind for one in read.rules] == [
        "churn_risk",
        "cart_left",
        "event",
        "event",
        "entered_segment",
        "first_purchase",
    ]
    assert read.rules[2].when.where == {"plan": ("pro",)}
    assert read.caps == (Cap(3, 7 * DAY), Cap(1, 7 * DAY, "sms"))
    assert read.quiet_hours == QuietHours(21 * 60, 8 * 60 + 30)
    assert read.templates == TEMPLATES


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse({}, {}) == Configuration()


def test_a_configuration_is_decoded_and_encoded_to_the_same_bytes() -> None:
    applied = parse({"rules": [RULE], "quiet_hours": {"from": "21:00", "to": "08:00"}}, TEMPLATES)

    assert decode(encode(applied)) == applied
    assert encode(decode(encode(applied))) == encode(applied)


def test_the_log_carries_only_templates_that_a_rule_uses() -> None:
    applied = parse({"rules": [RULE]}, {**TEMPLATES, "other": Template("a", "b")})

    assert set(applied.templates) == {"win_back"}


@pytest.mark.parametrize(
    ("mapping", "path", "found", "allowed"),
    [
        ({"rule": []}, "rule", "rule", "one of timezone, churn, rules"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Mars/Olympus", "IANA"),
        ({"timezone": 1}, "timezone", 1, "a text"),
        ({"rules": [RULE, RULE]}, "rules[1].name", "win_back", "no other rule"),
        ({"rules": [{**RULE, "name": "Win Back"}]}, "rules[0].name", "Win Back", "lower case"),
        ({"rules": [{**RULE, "category": "spam"}]}, "rules[0].category", "spam", "marketing, transactional"),
        ({"rules": [{**RULE, "channels": ["fax"]}]}, "rules[0].channels[0]", "fax", "email, push, sms"),
        ({"rules": [{**RULE, "expires_after": "1 day"}]}, "rules[0].expires_after", "1 day", "14d"),
        ({"rules": [{**RULE, "cooldown": 5}]}, "rules[0].cooldown", 5, "14d"),
        ({"rules": [{**RULE, "template": "none"}]}, "rules[0].template", "none", "win_back"),
        ({"rules": [{**RULE, "when": {}}]}, "rules[0].when", [], "exactly one"),
        (
            {"rules": [{**RULE, "when": {"event": "x", "first_purchase": True}}]},
            "rules[0].when",
            ["first_purchase", "event"],
            "exactly one",
        ),
        (
            {"rules": [{**RULE, "when": {"churn_risk": {"crosses": 7}}}]},
            "rules[0].when.churn_risk.crosses",
            7,
            "a number above 0 and below 1",
        ),
        ({"rules": [{**RULE, "when": {"cart_left": {"fr": "1h"}}}]}, "rules[0].when.cart_left.fr", "fr", "one of for"),
        ({"rules": [{**RULE, "when": {"cart_left": {}}}]}, "rules[0].when.cart_left", [], "`for`"),
        (
            {"rules": [{**RULE, "when": {"first_purchase": True, "where": {"a": 1}}}]},
            "rules[0].when.where",
            {"a": 1},
            "only `event`",
        ),
        ({"rules": [{"when": {"event": "x"}}]}, "rules[0]", ["when"], "`name`"),
        ({"caps": [{"messages": -1, "within": "7d"}]}, "caps[0].messages", -1, "a whole number of at least 0"),
        ({"quiet_hours": {"from": "25:00", "to": "08:00"}}, "quiet_hours.from", "25:00", "21:00"),
        ({"quiet_hours": {"from": "08:00", "to": "08:00"}}, "quiet_hours.to", "08:00", "another time"),
        ({"churn": {"activity": ["purchse"]}}, "churn.activity[0]", "purchse", "purchase"),
        ({"churn": {"horizon": "36h"}}, "churn.horizon", "36h", "whole days"),
    ],
)
def test_a_mistake_is_reported_with_its_path_the_value_found_and_the_values_allowed(
    mapping: dict[str, Any], path: str, found: object, allowed: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse(mapping, TEMPLATES)

    assert caught.value.path == path
    assert caught.value.found == found
    assert allowed in caught.value.allowed


def test_an_e_mail_without_a_subject_is_a_mistake() -> None:
    with pytest.raises(InvalidConfiguration, match=r"templates\.win_back\.subject"):
        parse({"rules": [RULE]}, {"win_back": Template("", "text")})


RECEIPT: dict[str, Any] = {"name": "receipt", "category": "transactional", "when": {"event": "refund"}}


@pytest.mark.parametrize(
    ("fallback", "allowed"),
    [
        (None, "a text to send if the template"),
        (" \n", "a text to send if the template"),
        ("Subject: Your refund\n\n", "a text to send if the template"),
        ("Your refund is on its way.", "a first line `Subject: ...`"),
        ("Subject:\nYour refund is on its way.", "a first line `Subject: ...`"),
    ],
)
def test_a_transactional_rule_needs_a_fallback_with_text(fallback: str | None, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse({"rules": [RECEIPT]}, {"receipt": Template("Hi", "text", fallback=fallback)})

    assert caught.value.path == "templates.receipt.fallback"
    assert caught.value.allowed.startswith(allowed)


def test_a_fallback_by_sms_needs_no_subject() -> None:
    template = Template("", "text", fallback="Your refund is on its way.")

    assert parse({"rules": [{**RECEIPT, "channels": ["sms"]}]}, {"receipt": template}).templates["receipt"] == template


def test_the_written_form_has_a_json_schema_for_editors() -> None:
    schema = msgspec.json.schema(Definition)

    assert "quiet_hours" in schema["$defs"]["Definition"]["properties"]


@pytest.mark.parametrize(
    ("segments", "path", "found", "allowed"),
    [
        ({}, "segments", {}, "a list"),
        ([{"name": "a"}], "segments[0]", ["name"], "`when`"),
        ([{"name": "a", "when": {}, "then": 1}], "segments[0].then", "then", "one of name, when"),
        ([{"name": "", "when": {}}], "segments[0].name", "", "a text that is not empty"),
        ([{"name": "a", "when": []}], "segments[0].when", [], "a mapping"),
        (
            [{"name": "a", "when": {"evnt": "A", "within": "1d"}}],
            "segments[0].when.evnt",
            "evnt",
            "one of event, absent",
        ),
        ([{"name": "a", "when": {"segment": "a"}}], "segments[0].when", "a -> a", "in a circle"),
        ([SEGMENT, SEGMENT], "segments[1].name", "free", "a name that no other segment has"),
        ([{**SEGMENT, "name": "dormant 2"}], "segments[0].name", "dormant 2", "frequent big spenders"),
    ],
)
def test_a_mistake_in_a_segment_is_reported_with_its_path(
    segments: Any, path: str, found: object, allowed: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse({"segments": segments}, {})

    assert (caught.value.path, caught.value.found) == (path, found)
    assert allowed in caught.value.allowed


def test_segments_by_rule_travel_in_the_log() -> None:
    for seed in range(60):
        case = random_case(seed, 5, 0)
        read = parse({"segments": case.written}, {})
        assert read.segments == case.rules
        assert decode(encode(read)) == read
        assert encode(decode(encode(read))) == encode(read)
        written = [{"name": rule.name, "when": plain(rule.when)} for rule in read.segments]
        again = parse({"segments": written}, {})
        assert [hash_of(rule.when) for rule in again.segments] == [hash_of(rule.when) for rule in read.segments]


def test_a_configuration_without_sections_of_the_second_level_has_the_bytes_of_the_first_level() -> None:
    applied = parse({"rules": [RULE], "caps": [{"messages": 1, "within": "1d"}]}, TEMPLATES)
    new = {"segments", "lifecycle", "journeys", "campaigns", "postal_address"}
    former = {field: getattr(applied, field) for field in Configuration.__struct_fields__ if field not in new}

    assert encode(applied) == msgspec.json.encode(former, order="sorted")
    assert b'"segments":[{' in encode(parse({"segments": [SEGMENT]}, {}))


words = st.sampled_from(
    [*Definition.__struct_fields__, "name", "when", "crosses", "channels", "email", "14d", "21:00", "from", "to", "for"]
) | st.text(max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)
values = st.sampled_from(["A", "7d", "ever", "EUR", "10%", 1, 0.5, True, 1 << 70, -1e300, {"at_least": 2}])
values |= st.floats() | words


def clauses_of(key: str) -> st.SearchStrategy[dict[str, Any]]:
    fields = [field.encode_name for field in msgspec.structs.fields(FORMS[key])]
    return st.dictionaries(st.sampled_from(fields), values, max_size=3).map(lambda given: {key: "A", **given})


conditions = st.recursive(
    st.sampled_from(sorted(FORMS)).flatmap(clauses_of),
    lambda inner: st.dictionaries(st.sampled_from(["all", "any", "none"]), st.lists(inner, max_size=3), max_size=1),
    max_leaves=6,
)
segments = st.fixed_dictionaries({"name": words, "when": conditions})
stages = st.sampled_from(["visitor", "new", "loyal"]) | words
moves = st.fixed_dictionaries({"from": stages, "to": stages, "when": conditions | st.just("never")})


@given(
    mapping=st.dictionaries(words, anything, max_size=4)
    | st.fixed_dictionaries({"rules": st.lists(anything)})
    | st.fixed_dictionaries({"segments": st.lists(segments, max_size=3)})
    | st.fixed_dictionaries({"lifecycle": st.fixed_dictionaries({"moves": st.lists(moves, max_size=3)})})
)
@settings(max_examples=300, deadline=None)
def test_any_content_of_the_file_is_read_or_refused_with_an_explanation(mapping: dict[str, Any]) -> None:
    try:
        read = parse(mapping, TEMPLATES)
    except InvalidConfiguration as error:
        assert error.allowed  # noqa: PT017 - most generated files have a mistake; the others are read
        return
    assert decode(encode(read)) == read


@pytest.mark.parametrize("wrong", [7, "x", [], {}, None, True])
@pytest.mark.parametrize("name", ["timezone", "churn", "rules", "caps", "quiet_hours", "segments"])
def test_no_mistake_is_described_with_names_of_python_types(name: str, wrong: object) -> None:
    try:
        parse({name: wrong}, TEMPLATES)
    except InvalidConfiguration as error:
        assert not [bad for bad in ("`int", "`float", "`str", "`array", "`object", "Expected") if bad in error.allowed]  # noqa: PT017 - some of these values are allowed


def test_the_names_that_withdraw_consent_travel_in_the_log() -> None:
    written = {
        "withdrawal_events": {"Bye Bye": "sms", "Enough": "all"},
        "withdrawal_traits": {"no_mail": True, "mood": {"value": "angry", "channel": "email"}},
        "ignore_traits": ["subscribed"],
    }

    consent = decode(encode(parse({"consent": written}, {}))).consent

    assert consent.event("bye-bye") == NamedWithdrawal("sms")
    assert consent.event("Enough") == NamedWithdrawal()
    assert consent.event("Unsubscribed") is None  # ``models/wire`` handles the built-in names.
    assert consent.trait("noMail") == StatingTrait(True)
    assert consent.trait("mood") == StatingTrait("angry", "email")
    assert consent.trait("Subscribed") is None
    assert consent.trait("unsubscribed") == StatingTrait(True)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"ignore_traits": ["subscribd"]}, "consent.ignore_traits[0]"),
        ({"withdrawal_events": {"Bye": "email", "bye ": "sms"}}, "consent.withdrawal_events"),
        ({"withdrawal_traits": {"--": True}}, "consent.withdrawal_traits"),
        ({"grants": {"Yes": "email"}}, "consent.grants"),
    ],
)
def test_a_mistake_in_the_names_that_withdraw_consent_is_an_error_with_its_place(
    written: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse({"consent": written}, {})

    assert caught.value.path == path


@pytest.mark.parametrize(
    ("sections", "path", "says"),
    [
        (
            {"rules": [{"name": "r", "when": {"first_purchase": True}, "purpose": "news"}]},
            "rules[0].purpose",
            "marketing",
        ),
        ({"consent": {"purposes": ["news", "news"]}}, "consent.purposes[1]", "each purpose once"),
        ({"consent": {"purposes": ["marketing"]}}, "consent.purposes[0]", "each purpose once"),
    ],
)
def test_a_purpose_that_is_not_listed_once_is_refused(sections: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse(sections, {"r": Template("Subject", "Text.")})

    assert caught.value.path == path
    assert says in caught.value.allowed


def test_a_rule_and_a_journey_have_the_purpose_that_the_file_states() -> None:
    sections = {
        "consent": {"purposes": ["news"]},
        "rules": [{"name": "r", "when": {"first_purchase": True}, "purpose": "news"}],
        "journeys": [
            {
                "name": "j",
                "purpose": "news",
                "enter": {"on": {"event": "Signed Up"}},
                "exit": [{"after": "30d", "as": "timed_out"}],
                "steps": [{"id": "hello", "send": "r"}],
            }
        ],
    }

    found = parse(sections, {"r": Template("Subject", "Text.")})

    assert {name: rule.purpose for name, rule in found.by_name.items()} == {"r": "news", "j/hello": "news"}
    with pytest.raises(InvalidConfiguration, match=r"journeys\[0\]\.purpose: found 'news'.*one of marketing"):
        parse({**sections, "consent": {}, "rules": []}, {"r": Template("Subject", "Text.")})


def test_the_e_mail_that_asks_for_a_confirmation_is_built_in_and_may_be_replaced() -> None:
    asks = {"consent": {"confirm": ["email"]}}
    own = Template("Yes?", "{{ confirm_url }}", fallback="Subject: Yes?\n{{ confirm_url }}")

    assert "{{ confirm_url }}" in parse(asks, {}).templates["confirm_consent"].text
    assert parse(asks, {"confirm_consent": own}).templates == {"confirm_consent": own}
    assert parse({}, {"confirm_consent": own}).templates == {}


@pytest.mark.parametrize(
    ("changed", "path", "says"),
    [
        ({"text": "Hello"}, "templates.confirm_consent.text", "{{ confirm_url }}"),
        ({"html": "<p>"}, "templates.confirm_consent.html", "{{ confirm_url }}"),
        ({"fallback": None}, "templates.confirm_consent.fallback", "a text to send"),
        ({"text": "{{ first_name }} {{ confirm_url }}"}, "templates.confirm_consent.text", "one of signal, rule, now"),
        ({"fallback": "Subject: {{ user }}\n{{ confirm_url }}"}, "templates.confirm_consent.fallback", "one of signal"),
    ],
)
def test_the_e_mail_that_asks_for_a_confirmation_needs_its_link(changed: dict[str, Any], path: str, says: str) -> None:
    own = Template("Yes?", "{{ confirm_url }}", fallback="Subject: Yes?\n{{ confirm_url }}")

    with pytest.raises(InvalidConfiguration) as caught:
        parse({"consent": {"confirm": ["email"]}}, {"confirm_consent": msgspec.structs.replace(own, **changed)})

    assert caught.value.path == path
    assert says in caught.value.allowed


def test_no_rule_may_have_the_name_of_the_e_mail_that_asks_for_a_confirmation() -> None:
    rules = [{"name": "confirm_consent", "template": "r", "when": {"first_purchase": True}}]

    with pytest.raises(InvalidConfiguration, match="another name"):
        parse({"consent": {"confirm": ["email"]}, "rules": rules}, {"r": Template("Subject", "Text.")})


@pytest.mark.parametrize("code", ["XX", "ZZ"])
def test_a_country_of_existing_customers_is_a_code_of_iso_3166(code: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"existing_customer\.countries\[1\]"):
        parse({"consent": {"existing_customer": {"countries": ["DE", code], "bought_within": "365d"}}}, {})
