"""The exported JSON Schema allows what the parser reads, and refuses mistakes of form."""

from __future__ import annotations

import random
from typing import Any

import pytest

from models.conditions.parsing import parse_condition
from models.conditions.writing import plain
from models.errors import InvalidConfiguration
from stream.settings.loading import schema
from tests.support.json_schema import JsonSchema
from tests.support.random_conditions import random_segments

SCHEMA = JsonSchema(schema())


def file_with(when: Any) -> dict[str, Any]:
    return {"version": 1, "segments": [{"name": "s", "when": when}]}


def test_every_condition_that_is_read_and_its_canonical_form_are_allowed() -> None:
    for segment in random_segments(random.Random(3), 400):
        when = segment["when"]
        assert SCHEMA.allows(file_with(when)), when
        assert SCHEMA.allows(file_with(plain(parse_condition(when, "when", entry=())))), when


@pytest.mark.parametrize(
    "when",
    [
        {"lifecycle": ["new", "loyal"]},
        {"consent": {"purpose": "marketing", "channel": "email"}, "is": "granted"},
        {"score": "churn", "horizon": "30d", "at_least": 0.6, "until_below": 0.5},
        {"segment": "a", "for": "14d"},
        {"event": "A", "last": {"at_most": "7d"}},
        {"absent": "A", "for": "2 p90 gaps"},
        {"event": "A", "since": "entry"},
        {"mark": "m", "set": True},
        {"trait": "born", "anniversary": "day", "zone": "user"},
    ],
)
def test_further_forms_are_allowed(when: dict[str, Any]) -> None:
    parse_condition(when, "when", entry=())
    assert SCHEMA.allows(file_with(when))


@pytest.mark.parametrize(
    "when",
    [
        {},
        [],
        {"evnt": "A", "within": "7d"},
        {"event": "A", "within": "7 days"},
        {"event": "A", "within": "7d", "times": {"at_least": 2000}},
        {"event": "A", "within": "7d", "times": {"atleast": 2}},
        {"event": "A", "within": {"calendar": "year"}},
        {"event": "A", "within": "7d", "where": {"x": {"gt": 3}}},
        {"event": "A", "within": "7d", "where": {"x": None}},
        {"absent": "A"},
        {"absent": "A", "for": "soon"},
        {"all": []},
        {"all": [{"segment": "a"}, {"segmnt": "b"}]},
        {"not": [{"segment": "a"}]},
        {"not": {"segment": "a"}, "for": "3d"},
        {"sequence": [{"event": "A"}], "within": "1d"},
        {"trait": "x", "set": False},
        {"bucket": "b", "below": "10"},
    ],
)
def test_mistakes_of_form_are_refused_by_the_schema_and_by_the_parser(when: Any) -> None:
    assert not SCHEMA.allows(file_with(when))
    with pytest.raises(InvalidConfiguration):
        parse_condition(when, "when", entry=())


def test_rules_have_the_same_where() -> None:
    def rule(where: Any) -> dict[str, Any]:
        return {"version": 1, "rules": [{"name": "r", "when": {"event": "A", "where": where}}]}

    assert SCHEMA.allows(rule({"plan": ["pro"], "seats": {"at_least": 3}, "vip": True}))
    assert not SCHEMA.allows(rule({"seats": {"gt": 3}}))


def test_a_segment_says_how_users_become_members() -> None:
    def file_of(on_apply: str) -> dict[str, Any]:
        return {"version": 1, "segments": [{"name": "s", "when": {"segment": "a"}, "on_apply": on_apply}]}

    assert SCHEMA.allows(file_of("enter"))
    assert SCHEMA.allows(file_of("silent"))
    assert not SCHEMA.allows(file_of("loud"))
