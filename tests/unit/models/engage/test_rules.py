from __future__ import annotations

from typing import Any

import pytest

from models.configuration.compiled import Configuration, Rule, Trigger, decode, encode
from models.configuration.preference_links import LINK_REQUESTED
from models.engage.rules import cart_timers, churn_thresholds, event_names, matching
from models.profile.signals import Signal
from models.units import HOUR


def _rule(name: str, when: Trigger) -> Rule:
    return Rule(name=name, category="marketing", when=when, channels=("email",), template="t")


RULES = Configuration(
    rules=(
        _rule("risk", Trigger(kind="churn_risk", threshold=0.7)),
        _rule("early", Trigger(kind="churn_risk", threshold=0.5)),
        _rule("big", Trigger(kind="entered_segment", name="big spenders")),
        _rule("first", Trigger(kind="first_purchase")),
        _rule("hour", Trigger(kind="cart_left", delay=HOUR)),
        _rule("day", Trigger(kind="cart_left", delay=24 * HOUR)),
        _rule("trial", Trigger(kind="event", name="Trial Started", where={"plan": ("pro", "team"), "seats": (1,)})),
    )
)


def _named(kind: Any, **fields: Any) -> list[str]:
    return [rule.name for rule in matching(RULES, Signal(kind=kind, user="u1", at=1, cause="m", **fields))]


@pytest.mark.parametrize(
    ("previous", "value", "named"),
    [
        (0.4, 0.6, ["early"]),
        (0.4, 0.9, ["risk", "early"]),
        (0.6, 0.7, ["risk"]),
        (0.7, 0.8, []),
        (0.9, 0.6, []),
    ],
)
def test_a_risk_triggers_when_it_rises_to_a_threshold(previous: float, value: float, named: list[str]) -> None:
    assert _named("churn_risk", previous=previous, value=value) == named


def test_only_the_segment_that_a_rule_names_triggers_it() -> None:
    assert _named("segment_entered", name="big spenders") == ["big"]
    assert _named("segment_entered", name="window shoppers") == []
    assert _named("segment_left", name="big spenders") == []


def test_a_cart_timer_triggers_the_rule_that_it_is_named_after() -> None:
    assert _named("cart_left", name="day") == ["day"]


def test_a_first_purchase_triggers_its_rule() -> None:
    assert _named("first_purchase") == ["first"]


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"plan": "pro", "seats": 1}, ["trial"]),
        ({"plan": "team", "seats": 1.0, "more": "x"}, ["trial"]),
        ({"plan": "free", "seats": 1}, []),
        ({"plan": "pro", "seats": True}, []),
        ({"plan": ["pro"], "seats": 1}, []),
        (None, []),
    ],
)
def test_an_event_triggers_a_rule_if_all_its_properties_match(
    properties: dict[str, Any] | None, named: list[str]
) -> None:
    assert _named("event", name="Trial Started", properties=properties) == named


def test_a_signal_is_compared_only_with_the_rules_that_wait_for_it() -> None:
    others = tuple(_rule(f"rule_{number}", Trigger(kind="event", name=f"Event {number}")) for number in range(1_000))
    many = Configuration(rules=(*others, *RULES.rules, _rule("late", Trigger(kind="event", name="Event 7"))))

    assert max(map(len, many.by_trigger.values())) == 2
    assert [rule.name for rule in matching(many, Signal(kind="event", user="u1", at=1, cause="m", name="Event 7"))] == [
        "rule_7",
        "late",
    ]
    assert encode(many) == encode(decode(encode(many)))  # the index by trigger is not stored in the log


def test_the_configuration_gives_the_timers_thresholds_and_events_that_the_fold_watches() -> None:
    assert cart_timers(RULES) == (("hour", HOUR), ("day", 24 * HOUR))
    assert churn_thresholds(RULES) == (0.5, 0.7)
    assert event_names(RULES) == frozenset({"Trial Started", LINK_REQUESTED})
