from datetime import datetime
from math import inf, nan
from typing import Any

import msgspec
import pytest
import yaml

from models.conditions.clauses import Condition, SegmentRule
from models.conditions.parsing import parse_condition, parse_segments
from models.conditions.schema import json_schema
from models.conditions.writing import canonical, hash_of, plain
from models.errors import InvalidConfiguration
from tests.support.condition_runs import random_case

DESIGN = """
- name: hesitant_buyers
  when:
    all:
      - event: product_view
        where: {category: lighting, price: {at_least: 20, currency: EUR}}
        times: {at_least: 3}
        within: 7d
      - {absent: purchase, for: 30d}
      - {trait: plan, in: [free, trial]}
      - {score: churn, horizon: 30d, at_least: 0.6, until_below: 0.5}
      - not: {segment: staff}
- name: big_baskets
  when: {event: purchase, sum: amount, currency: EUR, at_least: 500, within: 90d}
- name: gave_up_at_payment
  when:
    sequence:
      - {event: Checkout Started, as: c}
      - {event: Payment Failed, where: {checkout_id: {same_as: c.checkout_id}}, at_most_after: 30m}
    without: purchase
    within: 1d
- name: trial_ends_soon
  when: {trait: trial_ends_at, comes_within: 3d}
- name: varied_taste
  when: {event: product_view, distinct: category, at_least: 5, within: {calendar: month}}
- name: engaged
  when: {event: message_clicked, where: {purpose: marketing}, times: {at_least: 1}, within: 60d}
- name: pilot
  when: {bucket: pilot_2026, below: 10%}
- name: loyal_for_a_while
  when: {segment: frequent big spenders, for: 14d}
- name: since_new_year
  when: {event: purchase, since: 2026-01-01T00:00:00Z}
- name: states
  when:
    any:
      - {lifecycle: [loyal, engaged]}
      - {consent: {purpose: marketing, channel: email}, is: granted}
      - {mark: onboarded, is: true}
"""


def test_the_segments_of_the_documentation_are_read_and_written_unchanged() -> None:
    written = yaml.safe_load(DESIGN)
    rules = parse_segments(written)
    for rule, given in zip(rules, written, strict=True):
        again = parse_condition(plain(rule.when), "when")
        assert again == rule.when
        if rule.name not in ("engaged", "since_new_year", "states"):
            assert plain(rule.when) == given["when"]


def test_conditions_travel_as_json() -> None:
    for seed in range(100):
        rules = random_case(seed, 4, 0).rules
        assert msgspec.json.decode(msgspec.json.encode(rules), type=tuple[SegmentRule, ...]) == rules
        for rule in rules:
            again = parse_condition(plain(rule.when), "when")
            assert plain(again) == plain(rule.when)
            assert canonical(again) == canonical(rule.when)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"all": [{"segment": "a"}, {"segment": "b"}]}, {"all": [{"segment": "b"}, {"all": [{"segment": "a"}]}]}),
        ({"not": {"any": [{"segment": "a"}, {"segment": "b"}]}}, {"none": [{"segment": "b"}, {"segment": "a"}]}),
        ({"trait": "plan", "in": ["a", "b"]}, {"trait": "plan", "in": ["b", "a", "b"]}),
        ({"trait": "age", "at_least": 3}, {"trait": "age", "at_least": 3.0}),
        ({"event": "A", "within": "7d"}, {"event": "A", "within": "1w", "times": {"at_least": 1}}),
        ({"absent": "A", "for": "7d", "where": {"x": [1, 2]}}, {"absent": "A", "for": "1w", "where": {"x": [2, 1]}}),
        ({"lifecycle": ["new", "loyal"]}, {"lifecycle": {"in": ["loyal", "new"]}}),
        ({"event": "A", "within": "7d", "where": {"x": 1}}, {"event": "A", "within": "7d", "where": {"x": [1]}}),
    ],
)
def test_conditions_of_one_meaning_have_one_canonical_form(one: Any, other: Any) -> None:
    assert canonical(parse_condition(one, "")) == canonical(parse_condition(other, ""))


def test_the_order_of_the_steps_of_a_sequence_matters() -> None:
    steps = [{"event": "A"}, {"event": "B"}]
    one, other = ({"sequence": each, "within": "1d"} for each in (steps, steps[::-1]))
    assert hash_of(parse_condition(one, "")) != hash_of(parse_condition(other, ""))


@pytest.mark.parametrize("name", ["all", "any", "none", "not", "sequence", "where", "event"])
def test_a_property_may_have_the_name_of_a_key(name: str) -> None:
    condition = parse_condition({"event": "A", "within": "7d", "where": {name: [2, 1]}}, "when")
    other = parse_condition({"event": "A", "within": "7d", "where": {name: [1, 2]}}, "when")
    assert parse_condition(plain(condition), "when") == condition
    assert hash_of(condition) == hash_of(other)


def test_a_flag_a_number_and_a_text_are_different() -> None:
    hashes = {hash_of(parse_condition({"trait": "x", "is": value}, "")) for value in (1, True, "1", "true")}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("written", "path", "allowed"),
    [
        (3, "when", "a mapping with one of"),
        ({}, "when", "exactly one of event"),
        ({"event": "A", "absent": "B"}, "when", "exactly one of"),
        ({"event": "A"}, "when", "exactly one of within, since"),
        (
            {"event": "A", "within": "7 days"},
            "when.within",
            "a duration such as 7d or 2 gaps, or `ever`, or a mapping with calendar",
        ),
        ({"event": "A", "within": {"calender": "day"}}, "when.within.calender", "one of calendar"),
        ({"event": "A", "within": "1d", "where": {"x": {"atleast": 1}}}, "when.where.x.atleast", "one of is, in"),
        ({"event": "A", "within": "1d", "where": {"x": None}}, "when.where.x", "a list of these, or a mapping with is"),
        ({"lifecycle": {"at_least": 3, "colour": 1}}, "when.lifecycle.colour", "one of is, in"),
        ({"event": "A", "within": {"calendar": "year"}}, "when.within.calendar", "one of day, month, week"),
        ({"event": "A", "within": "7d", "times": {"at_least": 2000}}, "when.times.at_least", "from 0 to 1,000"),
        ({"event": "A", "within": "7d", "times": {"less_than": 0}}, "when.times", "bounds that some number meets"),
        ({"event": "A", "within": "7d", "times": {}}, "when.times", "at least one of at_least"),
        ({"event": "A", "within": "7d", "sum": "amount", "at_least": 1}, "when.currency", "the currency of amount"),
        ({"event": "A", "within": "7d", "sum": "x", "currency": "EUR", "at_least": 1}, "when.currency", "nothing"),
        ({"event": "A", "within": "7d", "at_least": 1}, "when.at_least", "nothing here: bounds are written in `times`"),
        ({"event": "A", "within": "7d", "where": {"price": {"at_least": 1}}}, "when.where.price.currency", "EUR"),
        ({"event": "A", "within": "7d", "where": {"line.colour": 1}}, "when.where.line.colour", "line.item"),
        ({"event": "A", "within": "7d", "where": {"x": {}}}, "when.where.x", "at least one of is"),
        ({"event": "A", "last": {"at_most": "7d"}, "within": "7d"}, "when.within", "nothing for last and first"),
        ({"event": "A", "since": "2026-01-01"}, "when.since", "a time with its zone"),
        ({"event": "A", "since": datetime(2026, 1, 1)}, "when.since", "a time with its zone"),  # noqa: DTZ001 - no zone
        ({"absent": "A", "for": "soon"}, "when.for", "a whole number and a unit"),
        ({"trait": "x"}, "when", "at least one of is"),
        ({"trait": "x", "is": 1, "comes_within": "3d"}, "when", "comes_within alone"),
        ({"trait": "x", "set": False}, "when.set", ""),
        ({"trait": "x", "is_not": 1}, "when.is_not", "one of"),
        ({"trait": "x", "at_least": 1, "until_below": 0}, "when.until_below", "only for scores"),
        ({"score": "x", "at_least": 0.5, "until_below": 0.6}, "when.until_below", "at most 0.5"),
        ({"trait": "x", "in": [1, nan]}, "when.in[1]", "a finite number"),
        ({"event": "A", "within": "1d", "where": {"x": {"at_most": inf}}}, "when.where.x.at_most", "a finite number"),
        ({"bucket": "x", "below": "10"}, "when.below", "a share"),
        ({"all": []}, "when.all", "something in it"),
        ({"all": [{"segment": "a"}], "any": []}, "when", "exactly one of"),
        ({"not": {"segment": "a"}, "for": "3d"}, "when.for", "nothing beside not"),
        ({"sequence": [{"event": "A"}], "within": "1d"}, "when.sequence", "a list"),
        (
            {"sequence": [{"event": "A"}, {"event": "B", "where": {"x": {"same_as": "a.x"}}}], "within": "1d"},
            "when.sequence[1].where.x.same_as",
            "a step before this one",
        ),
        *(
            (
                {
                    "sequence": [{"event": "A", "as": "a"}, {"event": "B", "where": {own: {"same_as": f"a.{other}"}}}],
                    "within": "1d",
                },
                f"when.sequence[1].where.{own}.same_as",
                "not of the lines of an order",
            )
            for own, other in (("line.item", "line.item"), ("line.item", "x"), ("x", "line.item"))
        ),
    ],
)
def test_an_error_names_the_place_and_what_is_allowed(written: Any, path: str, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration) as error:
        parse_condition(written, "when")
    assert error.value.path == path
    assert allowed in error.value.allowed


def test_conditions_within_conditions_have_a_limit() -> None:
    written: dict[str, Any] = {"segment": "a"}
    for _ in range(30):
        written = {"not": written}
    with pytest.raises(InvalidConfiguration, match="at most 20 levels"):
        parse_condition(written, "when")


def test_the_schema_has_every_form() -> None:
    schema = json_schema()
    titles = {
        form.get("title") or form.get("$ref", "").rpartition("/")[2] for form in schema["$defs"]["Condition"]["anyOf"]
    }
    assert {"WrittenEvent", "WrittenAbsent", "WrittenSequence", "WrittenTrait", "WrittenBucket"} <= titles
    assert '"all"' in msgspec.json.encode(schema).decode()


def test_the_order_of_written_conditions_is_kept() -> None:
    condition: Condition = parse_condition({"any": [{"segment": "b"}, {"segment": "a"}]}, "when")
    assert plain(condition) == {"any": [{"segment": "b"}, {"segment": "a"}]}


@pytest.mark.parametrize(
    ("segment", "path", "allowed"),
    [
        ({"name": "a"}, "segments[0]", "a mapping with name, when, and perhaps on_apply"),
        ({"name": "a", "when": {"segment": "b"}, "then": 1}, "segments[0]", "perhaps on_apply"),
        ({"name": "a", "when": {"segment": "b"}, "on_apply": "loud"}, "segments[0].on_apply", "one of silent, enter"),
        ({"name": "", "when": {"segment": "b"}}, "segments[0].name", "a text of 1 to 200 characters"),
        ({"name": "dormant", "when": {"segment": "b"}}, "segments[0].name", "no learned segment may have"),
    ],
)
def test_a_mistake_in_a_segment_is_reported_with_its_place(segment: Any, path: str, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse_segments([segment])

    assert caught.value.path == path
    assert allowed in caught.value.allowed


def test_users_enter_with_a_signal_only_if_the_segment_says_so() -> None:
    written = [{"name": name, "when": {"trait": "x", "is": 1}} for name in "abc"]
    written[0]["on_apply"], written[1]["on_apply"] = "enter", "silent"

    assert [rule.enters for rule in parse_segments(written)] == [True, False, False]
