"""Contradictions are found where two clauses can never both hold, and nowhere else."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest

from models.conditions.clauses import AllOf, NoneOf, SegmentClause
from models.conditions.contradictions import MAX_COMPARED, contradictions
from models.conditions.parsing import parse_condition, parse_segments
from models.conditions.writing import plain
from tests.support.condition_runs import evaluate, leaves, random_case
from tests.support.random_conditions import random_segments

CLICK = {"event": "click", "within": "7d"}
TWICE = {**CLICK, "times": {"at_least": 2}}


def pairs(when: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.other, one.path) for one in contradictions(parse_condition(when, "when"), "when")]


@pytest.mark.parametrize(
    "of",
    [
        [TWICE, {"absent": "click", "for": "7d"}],
        [TWICE, {"absent": "click", "for": "8d"}],
        [CLICK, {"absent": "click", "for": "7d"}],
        [{**TWICE, "where": {"x": 1}}, {"absent": "click", "for": "7d"}],
        [{**TWICE, "where": {"x": 1, "y": 1}}, {"absent": "click", "for": "7d", "where": {"x": 1}}],
        [TWICE, {**CLICK, "times": {"at_most": 1}}],
        [TWICE, {**CLICK, "times": {"exactly": 1}, "within": "30d"}],
        [TWICE, {**CLICK, "times": {"less_than": 2}, "within": "ever"}],
        [TWICE, {"not": CLICK}],
        [TWICE, {"none": [{"segment": "a"}, {**CLICK, "times": {"at_least": 2}, "within": "8d"}]}],
        [{"not": {**CLICK, "times": {"at_most": 3}}}, {**CLICK, "times": {"at_most": 3}, "within": "9d"}],
        [
            {"event": "click", "times": {"at_least": 1}, "within": {"calendar": "day"}},
            {"event": "click", "times": {"exactly": 0}, "within": {"calendar": "month"}},
        ],
        [
            {"event": "click", "times": {"at_least": 1}, "since": "2026-02-01T00:00Z"},
            {"event": "click", "times": {"exactly": 0}, "since": "2026-01-01T00:00Z"},
        ],
        [{"segment": "a"}, {"not": {"segment": "a"}}],
        [{"segment": "a"}, {"none": [{"segment": "b"}, {"segment": "a"}]}],
        [{"not": {"any": [{"segment": "b"}, {"bucket": "x", "below": "10%"}]}}, {"bucket": "x", "below": "10%"}],
        [{"trait": "plan", "is": "free"}, {"trait": "plan", "in": ["pro", "team"]}],
        [{"trait": "age", "is": 3}, {"trait": "age", "more_than": 3}],
        [{"trait": "age", "at_least": 4}, {"trait": "age", "less_than": 4}],
        [{"trait": "age", "less_than": 3, "more_than": 1}, {"trait": "age", "at_least": 3}],
        [{"lifecycle": "new"}, {"lifecycle": "loyal"}],
        [{"score": "churn", "at_least": 0.6}, {"score": "churn", "at_most": 0.5}],
    ],
)
def test_two_clauses_that_exclude_each_other_are_found(of: list[dict[str, Any]]) -> None:
    assert len(pairs({"all": of})) == 1
    assert len(pairs({"all": of[::-1]})) == 1
    assert len(pairs({"any": [{"segment": "z"}, {"all": [{"all": [of[0]]}, of[1]]}]})) == 1
    assert pairs({"any": of}) == []


@pytest.mark.parametrize(
    "of",
    [
        [TWICE, {"absent": "click", "for": "6d"}],
        [TWICE, {"absent": "refund", "for": "7d"}],
        [TWICE, {"absent": "click", "for": "7d", "where": {"x": 1}}],
        [{**TWICE, "where": {"x": 1}}, {"absent": "click", "for": "7d", "where": {"x": 2}}],
        [TWICE, {"not": {"absent": "click", "for": "7d"}}],
        [TWICE, {**CLICK, "times": {"at_most": 2}}],
        [TWICE, {**CLICK, "times": {"at_most": 1}, "within": "6d"}],
        [TWICE, {"absent": "click", "for": "2 gaps"}],
        [{**CLICK, "times": {"at_least": 2, "at_most": 3}}, {"not": {**CLICK, "times": {"at_least": 3, "at_most": 4}}}],
        [
            {"event": "click", "times": {"at_least": 1}, "within": {"calendar": "week"}},
            {"event": "click", "times": {"exactly": 0}, "within": {"calendar": "month"}},
        ],
        [{"trait": "plan", "is": "free"}, {"trait": "plan", "starts_with": "f"}],
        [{"trait": "plan", "is": "free"}, {"trait": "other", "is": "pro"}],
        [{"trait": "tags", "contains": "a"}, {"trait": "tags", "contains": "b"}],
        [{"trait": "age", "less_than": 5}, {"trait": "age", "at_most": 3, "at_least": 3}],
        [{"trait": "age", "at_least": 4}, {"trait": "age", "at_most": 4}],
        [{"score": "churn", "at_least": 0.6, "until_below": 0.5}, {"score": "churn", "less_than": 0.6}],
        [{"segment": "a", "for": "3d"}, {"not": {"segment": "a", "for": "4d"}}],
    ],
)
def test_two_clauses_that_may_both_hold_are_not_found(of: list[dict[str, Any]]) -> None:
    assert pairs({"all": of}) == []


def test_the_places_are_those_of_the_file() -> None:
    when = {"all": [{"segment": "b"}, {"all": [TWICE]}, {"not": {"any": [{"segment": "c"}, CLICK]}}]}

    assert pairs(when) == [("when.all[1].all[0]", "when.all[2].not.any[1]")]


def test_the_number_of_comparisons_is_limited() -> None:
    clauses = [{**CLICK, "times": {"exactly": i % 1000}} for i in range(2_000)]

    assert len(pairs({"all": clauses})) == MAX_COMPARED * (MAX_COMPARED - 1) // 2


def test_no_user_ever_meets_a_contradiction() -> None:
    rng, excluding = random.Random(5), list[dict[str, Any]]()
    clauses = [leaf for rule in parse_segments(random_segments(rng, 400)) for leaf in leaves(rule.when)]
    clauses = [clause for clause in clauses if not isinstance(clause, SegmentClause)]
    for one, other in combinations(clauses, 2):
        for condition in (AllOf((one, other)), AllOf((one, NoneOf((other,))))):
            if next(contradictions(condition, "when"), None) is not None:
                excluding.append({"name": f"s {len(excluding)}", "when": plain(condition)})
    rng.shuffle(excluding)
    assert len(excluding) > 300

    for seed in range(12):
        segments = excluding[25 * seed : 25 * (seed + 1)]
        case = random_case(seed, 1, 80)._replace(written=segments, rules=parse_segments(segments), covered={})
        assert evaluate(case, 10)[0] == []
