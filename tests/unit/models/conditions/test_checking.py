"""Each kind of finding about conditions, and that correct conditions have none."""

from __future__ import annotations

from typing import Any

import pytest

from models.conditions.checking import MAX_CONTRADICTIONS, MAX_HINTS, ConditionChecker, ConditionFinding, Problem
from models.conditions.clauses import SegmentRule
from models.conditions.knowledge import Knowledge, Sightings
from models.conditions.parsing import parse_segments
from models.events import Event
from models.units import DAY
from tests.support.condition_runs import random_case

SEEN = Sightings(
    [
        Event(
            id="1",
            user="u",
            type="custom",
            name="Trial Started",
            at=1,
            properties={
                "plan": "pro",
                "seats": 3,
                "page": {"kind": "start"},
                "tags": ["a"],
                "fee": 5,
                "currency": "EUR",
            },
        ),
        Event(id="2", user="u", type="product_view", at=1, item="i", properties={"colour": "red"}),
        Event(
            id="3",
            user="u",
            type="identify",
            at=1,
            traits={"plan": "free", "age": 3, "ends": "2026-01-01T00:00Z", "starts": "2026-01-01", "vip": True},
        ),
    ]
)
KNOWN = Knowledge(
    purposes=("marketing", "news"),
    source="the newest 3 events",
    events=SEEN.events,
    traits=SEEN.traits,
    learned=("dormant",),
    features=("orders", "sessions", "refund_share"),
    logarithms=("orders", "sessions"),
    scores=("churn", "recency"),
    ranges={"churn": (0, 1), "recency": (1, 5)},
    stages=("new", "loyal"),
    read_as={"order completed": "purchase"},
    retention=30 * DAY,
)


def found(when: dict[str, Any], knowledge: Knowledge = KNOWN) -> list[ConditionFinding]:
    others = [{"name": "staff", "when": {"bucket": "x", "below": "1%"}}]
    return check(parse_segments([*others, {"name": "s", "when": when}]), knowledge)


def check(segments: tuple[SegmentRule, ...], knowledge: Knowledge) -> list[ConditionFinding]:
    return list(ConditionChecker([segment.name for segment in segments], knowledge).segments(segments))


@pytest.mark.parametrize(
    ("when", "problem", "path", "says"),
    [
        (
            {"event": "Trial Strated", "within": "7d"},
            "unknown_event",
            "",
            "have no event 'Trial Strated' (did you mean T",
        ),
        ({"event": "purchse", "within": "7d"}, "unknown_event", "", "did you mean purchase?"),
        ({"event": "Order Completed", "within": "7d"}, "unknown_event", "", "are read as purchase"),
        ({"absent": "Nothing Alike", "for": "7d"}, "unknown_event", ".absent", "have no event 'Nothing Alike'"),
        (
            {"sequence": [{"event": "click"}, {"event": "Trial"}], "within": "1d"},
            "unknown_event",
            ".sequence[1].event",
            "have no event 'Trial'",
        ),
        (
            {"sequence": [{"event": "click"}, {"event": "refund"}], "without": "Trial", "within": "1d"},
            "unknown_event",
            ".without",
            "have no event 'Trial'",
        ),
        (
            {"event": "Trial Started", "where": {"plam": "pro"}, "within": "7d"},
            "unknown_property",
            ".where.plam",
            "have no property 'plam' of the event 'Trial Started' (did you mean plan?)",
        ),
        (
            {"event": "Trial Started", "distinct": "seat", "at_least": 2, "within": "7d"},
            "unknown_property",
            ".distinct",
            "did you mean seats?",
        ),
        (
            {"event": "Trial Started", "where": {"page.kid": "x"}, "within": "7d"},
            "unknown_property",
            ".where.page.kid",
            "did you mean page.kind?",
        ),
        (
            {"event": "Trial Started", "where": {"plan": {"at_least": 3}}, "within": "7d"},
            "wrong_type",
            ".where.plan",
            "at_least never holds: the property 'plan' of 'Trial Started' is a text",
        ),
        (
            {"event": "Trial Started", "where": {"seats": "3"}, "within": "7d"},
            "wrong_type",
            ".where.seats",
            "is never holds: the property 'seats' of 'Trial Started' is a number",
        ),
        (
            {"event": "Trial Started", "where": {"tags": {"starts_with": "a"}}, "within": "7d"},
            "wrong_type",
            ".where.tags",
            "is a list",
        ),
        (
            {"event": "Trial Started", "sum": "plan", "at_least": 2, "within": "7d"},
            "wrong_type",
            ".sum",
            "sum never holds: the property 'plan' of 'Trial Started' is a text",
        ),
        ({"event": "refund", "where": {"line.item": 3}, "within": "7d"}, "wrong_type", ".where.line.item", "is a text"),
        (
            {"event": "Trial Started", "sum": "fee", "at_least": 2, "within": "7d"},
            "no_currency",
            ".sum",
            "in all currencies together; add it to where",
        ),
        ({"event": "click", "within": "90d"}, "longer_than_log", ".within", "the log keeps events for 30d"),
        ({"absent": "click", "for": "31d"}, "longer_than_log", ".for", "which is shorter than 31d"),
        (
            {"sequence": [{"event": "click"}, {"event": "refund"}], "within": "60d"},
            "longer_than_log",
            ".within",
            "unknown until it has seen as much",
        ),
        (
            {"event": "click", "times": {"exactly": 0}, "within": "7d"},
            "new_users",
            ".times",
            "`absent: click` with `for` waits",
        ),
        ({"event": "click", "times": {"less_than": 1}, "within": "7d"}, "new_users", ".times", "a moment ago"),
        ({"trait": "pln", "is": "free"}, "unknown_trait", "", "have no trait 'pln' (did you mean plan?)"),
        ({"trait": "plan", "more_than": 3}, "wrong_type", "", "more_than never holds: the trait 'plan' is a text"),
        ({"trait": "vip", "in": ["true", 1]}, "wrong_type", "", "in never holds: the trait 'vip' is a flag"),
        ({"trait": "starts", "comes_within": "3d"}, "wrong_type", "", "add `zone: user`"),
        ({"trait": "plan", "passed_since": "3d"}, "wrong_type", "", "is a text, and not a time of ISO 8601"),
        ({"trait": "age", "anniversary": "day"}, "wrong_type", "", "is a number, and not a time of ISO 8601"),
        ({"feature": "order", "at_least": 3}, "unknown_value", "", "no feature 'order' (did you mean orders?)"),
        ({"feature": "orders", "is": "3"}, "wrong_type", "", "is never holds: a feature is a number"),
        (
            {"feature": "orders", "at_least": 3},
            "logarithm",
            "",
            "is log1p of a number, so 3 stands for the number 19.09; for the number 3, write 1.3863",
        ),
        ({"feature": "orders", "at_most": -1}, "logarithm", "", "so -1 stands for the number -0.63"),
        ({"score": "chrun", "at_least": 0.5}, "unknown_value", "", "no score 'chrun' (did you mean churn?)"),
        ({"score": "churn", "at_least": 60}, "never_holds", "", "never holds, because churn is from 0 to 1"),
        ({"score": "churn", "more_than": 1}, "never_holds", "", "never holds, because churn is from 0 to 1"),
        ({"score": "churn", "less_than": 0}, "never_holds", "", "never holds, because churn is from 0 to 1"),
        ({"score": "recency", "in": [0, 6]}, "never_holds", "", "never holds, because recency is from 1 to 5"),
        ({"score": "recency", "at_most": 0}, "never_holds", "", "never holds, because recency is from 1 to 5"),
        (
            {"lifecycle": ["new", "loyl"]},
            "unknown_value",
            "",
            "no state 'loyl' (did you mean loyal?); states: loyal, new",
        ),
        (
            {"consent": {"purpose": "marketing", "channel": "email"}, "is": "given"},
            "unknown_value",
            "",
            "it is granted, withdrawn, existing_customer or missing",
        ),
        (
            {"consent": {"purpose": "new", "channel": "email"}, "is": "granted"},
            "unknown_value",
            "",
            "no purpose 'new' (did you mean news?); marketing, and those of `consent.purposes`: marketing, news",
        ),
        (
            {"consent": {"purpose": "news", "channel": "mail"}, "is": "granted"},
            "unknown_value",
            "",
            "there is no channel 'mail'; channels: email, push, sms",
        ),
        ({"segment": "stff"}, "unknown_segment", "", "there is no segment 'stff' (did you mean staff?)"),
        ({"segment": "dormnt", "for": "3d"}, "unknown_segment", "", "did you mean dormant?"),
        (
            {"segment": "loyal regulars"},
            "unknown_segment",
            "",
            "no user is in the learned segment 'loyal regulars' now",
        ),
        (
            {"all": [{"event": "click", "times": {"at_least": 2}, "within": "7d"}, {"absent": "click", "for": "7d"}]},
            "contradiction",
            ".all[1]",
            "it contradicts segments[1].when.all[0], so no user can ever meet both: one requires at least 2 of 'click'",
        ),
    ],
)
def test_a_mistake_is_found_with_its_place(when: dict[str, Any], problem: Problem, path: str, says: str) -> None:
    (finding,) = found(when)

    assert (finding.problem, finding.path) == (problem, f"segments[1].when{path}")
    assert says in finding.says
    if problem not in ("unknown_event", "wrong_type", "unknown_segment", "unknown_value"):
        assert finding.is_certain == (problem in ("contradiction", "never_holds"))


@pytest.mark.parametrize(
    "when",
    [
        {
            "event": "Trial Started",
            "where": {"plan": "pro", "seats": {"at_least": 1}, "page.kind": "start"},
            "within": "7d",
        },
        {"event": "Trial Started", "where": {"tags": {"contains": "a"}, "plan": {"set": True}}, "within": "30d"},
        {"event": "Trial Started", "sum": "fee", "where": {"currency": "EUR"}, "at_least": 3, "within": "7d"},
        {"event": "Trial Started", "sum": "seats", "where": {"currency": "EUR"}, "at_least": 3, "within": "ever"},
        {"event": "product_view", "where": {"category": "lamps", "colour": "red"}, "within": "7d"},
        {"event": "purchase", "where": {"anything": 3, "line.quantity": {"at_least": 2}}, "within": "7d"},
        {"event": "custom", "where": {"anything": 3}, "within": "7d"},
        {"event": "purchase", "sum": "amount", "currency": "EUR", "at_least": 3, "within": "7d"},
        {"event": "click", "times": {"at_most": 3}, "within": {"calendar": "month"}},
        {"absent": "click", "for": "2 gaps"},
        {"trait": "plan", "in": ["free", "trial"]},
        {"trait": "ends", "comes_within": "3d"},
        {"trait": "starts", "comes_within": "3d", "zone": "user"},
        {"trait": "starts", "anniversary": "day"},
        {"feature": "orders", "at_least": 1.3863, "until_below": 1},
        {"feature": "refund_share", "at_least": 1},
        {"feature": "sessions", "more_than": 0},
        {"score": "churn", "at_least": 0.6, "until_below": 0.5},
        {"lifecycle": "loyal"},
        {"mark": "onboarded", "is": True},
        {"all": [{"segment": "staff"}, {"segment": "dormant", "for": "3d"}, {"bucket": "b", "below": "10%"}]},
    ],
)
def test_correct_conditions_have_no_findings(when: dict[str, Any]) -> None:
    assert found(when) == []


def test_without_knowledge_only_what_is_wrong_in_any_log_is_found() -> None:
    nothing = Knowledge()
    assert found({"event": "Whatever Happens", "where": {"x": 3}, "within": "900d"}, nothing) == []
    assert found({"any": [{"trait": "x", "is": 3}, {"feature": "x", "is": 3}, {"lifecycle": "x"}]}, nothing) == []
    (finding,) = found({"event": "purchse", "within": "7d"}, nothing)
    assert finding.says == "'purchse' is not a type of events (did you mean purchase?)"
    (finding,) = found({"segment": "stff"}, nothing)
    assert finding.is_certain


def test_findings_are_in_the_sequence_of_the_file_and_have_the_place_of_the_clause() -> None:
    when = {"all": [{"none": [{"trait": "a", "is": 1}, {"not": {"trait": "b", "is": 1}}]}, {"any": [{"segment": "c"}]}]}
    assert [finding.path for finding in found(when)] == [
        "segments[1].when.all[0].none[0]",
        "segments[1].when.all[0].none[1].not",
        "segments[1].when.all[1].any[0]",
    ]


def test_random_conditions_are_checked_without_an_error() -> None:
    for seed in range(300):
        case = random_case(seed, 4, 0)
        for finding in check(case.rules, KNOWN):
            assert finding.says
            assert finding.path.startswith("segments[")


def test_a_file_with_very_many_mistakes_gives_a_limited_number_of_contradictions_and_hints() -> None:
    clauses = [{"event": "click", "times": {"exactly": i % 1000}, "within": "7d"} for i in range(3_000)]
    unknown = [{"segment": f"unknown {i}"} for i in range(3_000)]
    segments = parse_segments([{"name": "a", "when": {"all": clauses}}, {"name": "b", "when": {"any": unknown}}])

    findings = check(segments, KNOWN)

    contradictions = [finding for finding in findings if finding.problem == "contradiction"]
    assert len(contradictions) == MAX_CONTRADICTIONS
    hints = [finding for finding in findings if "did you mean" in finding.says]
    assert len(hints) <= MAX_HINTS
    assert len([finding for finding in findings if finding.problem == "unknown_segment"]) == 3_000
