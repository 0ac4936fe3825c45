"""Marks in segments: a mark that a journey sets is seen at once, in further rounds of the same step."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.journeys.parsing import parse_journeys
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.reactions import MAX_ROUNDS
from models.log import Use
from models.profile.codec import unpack
from models.profile.runs import MAX_CHAIN
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log
from tests.support.segment_logs import segment_log, tick

SIZES = [1, 1_000]
TEMPLATES = {"hello": Template(subject="Hello", text="Hello. {{ unsubscribe_url }}", fallback="Subject: H\n\nT.")}
OUT = {"after": "30d", "as": "out"}
TRIAL: dict[str, Any] = {
    "name": "trial",
    "enter": {"on": {"event": "Trial"}, "again": "always"},
    "exit": [OUT],
    "steps": [{"set": {"onboarded": True}}, {"id": "pause", "wait": "1h"}, {"set": {"onboarded": False, "level": 3}}],
}
ONBOARDED = {"name": "onboarded", "when": {"mark": "onboarded", "is": True}}
HIGH = {"name": "high", "when": {"mark": "level", "at_least": 3}}
PLAIN = {"name": "plain", "when": {"not": {"mark": "level", "set": True}}}


def configuration(version: int, *segments: dict[str, Any], **sections: Any) -> Use:
    content = encode(parse({"segments": list(segments), "journeys": [TRIAL], **sections}, TEMPLATES))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def unchecked(version: int, segments: list[dict[str, Any]], journeys: list[dict[str, Any]]) -> Use:
    """Return a configuration with a circle of journeys, as an older release may have written it into the log."""
    used = parse({"segments": segments}, TEMPLATES)
    circle = msgspec.structs.replace(used, journeys=parse_journeys(journeys))
    return Use(name="configuration", version=version, content=msgspec.Raw(encode(circle)))


def refused(outputs: Outputs) -> list[tuple[int, str, str]]:
    """Return the refused entries: time after the start, journey, and reason."""
    return [
        (one["at"] - START, one["name"], one["origin"])
        for topic, one in outputs[0]
        if topic == "signals" and one["kind"] == "journey_refused"
    ]


def event(at: int, name: str = "Trial", user: str = "u1", **more: Any) -> Event:
    key = f"{user}-{at}-{name}"
    return Event(id=key, user=user, type="custom", at=START + at, origin="simulate", name=name, **more)


def identified(user: str = "u1") -> Event:
    traits = {"email": f"{user}@example.org"}
    return Event(id=f"i-{user}", user=user, type="identify", at=START, origin="simulate", traits=traits)


Outputs = tuple[list[tuple[str, dict[str, Any]]], dict[Any, float]]


def fold(*contents: Any, size: int = 1_000) -> tuple[Restored, Outputs]:
    state, given = fold_log(segment_log(*contents), itertools.repeat(size))
    counts: dict[Any, float] = {}
    for outputs in given:
        for name, count in outputs.counts.items():
            counts[name] = counts.get(name, 0.0) + count
    return state, ([(r.topic, json.loads(r.value)) for o in given for r in o.commit.records if r.value], counts)


def moves(outputs: Outputs) -> list[tuple[int, str, str]]:
    """Return the moves into segments and out of them, and the entries into journeys."""
    kinds = ("segment_entered", "segment_left", "journey_entered")
    return [
        (one["at"] - START, one["name"], one["kind"].partition("_")[2])
        for topic, one in outputs[0]
        if topic == "signals" and one["kind"] in kinds
    ]


@pytest.mark.parametrize("size", SIZES)
def test_a_segment_follows_a_mark_at_the_event_and_at_the_timer(size: int) -> None:
    log = (configuration(1, ONBOARDED, HIGH, PLAIN), tick(0), event(0), tick(HOUR), tick(2 * HOUR))

    state, outputs = fold(*log, size=size)

    assert moves(outputs) == [
        (0, "plain", "entered"),
        (0, "trial", "entered"),
        (0, "onboarded", "entered"),
        (HOUR, "onboarded", "left"),
        (HOUR, "high", "entered"),
        (HOUR, "plain", "left"),
    ]
    assert unpack(state.records[b"u1"]).ledger.marks == {"onboarded": False, "level": 3}


@pytest.mark.parametrize("size", SIZES)
def test_rules_and_journeys_react_to_the_segment_in_the_same_step(size: int) -> None:
    rule = {
        "name": "welcome",
        "category": "transactional",
        "when": {"entered_segment": "onboarded"},
        "channels": ["email"],
        "template": "hello",
    }
    after = {"name": "after", "enter": {"on": {"segment": "onboarded"}}, "exit": [OUT], "steps": [{"set": {"x": 1}}]}
    marked = {"name": "x", "when": {"all": [{"mark": "x", "is": 1}, {"segment": "onboarded"}]}}
    used = configuration(1, ONBOARDED, marked, rules=[rule], journeys=[after, TRIAL])

    _, outputs = fold(used, tick(0), identified(), tick(HOUR), event(HOUR), size=size)

    assert moves(outputs) == [
        (HOUR, "trial", "entered"),
        (HOUR, "onboarded", "entered"),
        (HOUR, "after", "entered"),
        (HOUR, "x", "entered"),
    ]
    assert [(one["rule"], one["at"] - START) for topic, one in outputs[0] if topic == "messages.email"] == [
        ("welcome", HOUR)
    ]
    assert not any(name[0] == "rounds_too_deep" for name in outputs[1])


def test_a_run_sees_the_event_of_a_step_once_although_the_step_has_several_rounds() -> None:
    counting = {
        "name": "counting",
        "enter": {"on": {"event": "Begin"}},
        "exit": [{"when": {"event": "Trial", "times": {"at_least": 2}, "since": "entry"}, "as": "twice"}, OUT],
        "goal": {"event": "Trial", "within": "9d", "count": "every"},
        "steps": [{"id": "long", "wait": "20d"}],
    }
    used = configuration(1, ONBOARDED, journeys=[TRIAL, counting])

    _, outputs = fold(used, tick(0), event(0, "Begin"), tick(HOUR), event(HOUR), tick(3 * HOUR))

    kinds = [one["kind"] for topic, one in outputs[0] if topic == "signals" and one["name"] == "counting"]
    assert kinds == ["journey_entered", "journey_converted"]


@pytest.mark.parametrize("size", SIZES)
def test_journeys_that_enter_each_other_by_a_mark_end_after_some_rounds_and_are_counted(size: int) -> None:
    def turning(name: str, segment: str, mark: str) -> dict[str, Any]:
        enter = {"on": {"segment": segment}, "again": "always"}
        return {"name": name, "enter": enter, "exit": [OUT], "steps": [{"set": {"turn": mark}}]}

    begin = {**TRIAL, "steps": [{"set": {"turn": "a"}}]}
    segments = [{"name": name, "when": {"mark": "turn", "is": name}} for name in "ab"]
    used = unchecked(1, segments, [begin, turning("to_b", "a", "b"), turning("to_a", "b", "a")])

    state, outputs = fold(used, tick(0), event(0), tick(HOUR), event(HOUR, "Other"), size=size)

    entered = [name for _, name, kind in moves(outputs) if kind == "entered" and name.startswith("to_")]
    assert entered == ["to_b", "to_a", "to_b"]
    assert outputs[1]["rounds_too_deep",] == 1
    assert refused(outputs) == [(0, "to_a", "too_deep")]
    assert outputs[1]["journey_moves", "to_a", "refused", "too_deep"] == 1
    user = unpack(state.records[b"u1"])
    assert user.ledger.marks == {"turn": "b"}
    memo, members = read_memo(state), set[str]()
    for name in "ab":
        answer = why("u1", user, memo.now, versions_in_use(state, memo), name)
        members |= {name} if answer["since"] else set()
    assert members == {"b"}, "segments follow the last mark although nothing reacts to it"
    assert len(entered) == MAX_ROUNDS - 1


@pytest.mark.parametrize("size", SIZES)
def test_journeys_that_enter_each_other_after_a_wait_end_after_a_number_of_runs(size: int) -> None:
    def turning(name: str, segment: str, mark: str) -> dict[str, Any]:
        enter, steps = {"on": {"segment": segment}, "again": "always"}, [{"id": "pause", "wait": "1h"}]
        return {"name": name, "enter": enter, "exit": [OUT], "steps": [*steps, {"set": {"turn": mark}}]}

    begin = {**TRIAL, "steps": [{"set": {"turn": "a"}}]}
    segments = [{"name": name, "when": {"mark": "turn", "is": name}} for name in "ab"]
    used = unchecked(1, segments, [begin, turning("to_b", "a", "b"), turning("to_a", "b", "a")])
    hours = [tick(hour * HOUR) for hour in range(1, 40)]

    _, outputs = fold(used, tick(0), event(0), *hours, event(39 * HOUR, "Trial"), tick(40 * HOUR), size=size)

    entered = [(at, name) for at, name, kind in moves(outputs) if kind == "entered" and name.startswith("to_")]
    assert [at for at, _ in entered[:MAX_CHAIN]] == [hour * HOUR for hour in range(MAX_CHAIN)]
    assert refused(outputs) == [(MAX_CHAIN * HOUR, "to_b", "too_deep")]
    assert entered[MAX_CHAIN:] == [], "the user is still in the segment `a`, so the second event changes nothing"


def test_a_mark_is_read_by_conditions_that_are_applied_later() -> None:
    log = (configuration(1), tick(0), event(0), tick(2 * HOUR), configuration(2, HIGH, ONBOARDED), tick(DAY))

    state, outputs = fold(*log)

    assert moves(outputs) == [(0, "trial", "entered")]
    memo = read_memo(state)
    answer = why("u1", unpack(state.records[b"u1"]), memo.now, versions_in_use(state, memo), "high")
    assert answer["since"] is not None
    assert (answer["tree"]["value"], answer["tree"]["bound"]) == ("3", {"at_least": 3})


def test_a_signal_that_follows_from_a_public_event_is_public() -> None:
    _, outputs = fold(configuration(1, ONBOARDED), tick(0), event(0, trust="public"))

    assert [one.get("public") for topic, one in outputs[0] if one.get("kind") == "segment_entered"] == [True]
