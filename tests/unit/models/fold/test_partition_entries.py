"""``on_apply: enter``: users who match when a segment is applied enter with a signal, once, and rules react."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from models.conditions.program import event_clauses
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.members import SegmentMembers, key_of, read_members
from models.log import BringHistory, HistoryComplete, Use, UserHistory
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import gaps_version
from tests.support.event_logs import START, fold_log
from tests.support.segment_logs import identified, segment_log, tick, viewed

PLAN = {"name": "plan_a", "when": {"trait": "plan", "is": "a"}, "on_apply": "enter"}
SILENT_PLAN = {"name": "plan_a", "when": PLAN["when"]}
VIEWERS = {
    "name": "viewers",
    "when": {"event": "product_view", "times": {"at_least": 2}, "within": "ever"},
    "on_apply": "enter",
}
BOTH = {"name": "both", "when": {"all": [{"segment": "viewers"}, {"trait": "plan", "is": "a"}]}, "on_apply": "enter"}
RULE = {
    "name": "welcome",
    "category": "transactional",
    "when": {"entered_segment": "plan_a"},
    "channels": ["email"],
    "template": "plain",
}
TEMPLATES = {"plain": Template(subject="Hello", text="Hello.", fallback="Subject: H\n\nT.")}
USERS = 30


def configured(version: int, *segments: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> Use:
    content = encode(parse({"segments": list(segments), "rules": rules or []}, TEMPLATES))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def known_users(at: int = 0) -> list[Event]:
    return [identified(f"u{n}", at, plan="ab"[n % 2], email=f"u{n}@example.org") for n in range(USERS)]


def fold(*contents: Any, size: int = 1_000) -> tuple[Any, list[tuple[str, dict[str, Any]]]]:
    state, given = fold_log(segment_log(*contents), itertools.repeat(size))
    return state, [(r.topic, json.loads(r.value)) for o in given for r in o.commit.records if r.value and r.key]


def entries(outputs: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str, str]]:
    return [
        (one["user"], one["name"], one["cause"])
        for topic, one in outputs
        if topic == "signals" and one["kind"] == "segment_entered"
    ]


def counted(state: Any, name: str) -> SegmentMembers:
    return read_members(state.records.get(key_of(name)))


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_each_user_who_matches_enters_once_with_a_signal_and_a_message_spread_over_time(size: int) -> None:
    log = (tick(0), *known_users(), configured(1, PLAN, rules=[RULE]), tick(DAY), tick(2 * DAY))

    state, outputs = fold(*log, size=size)

    matching = {f"u{n}" for n in range(0, USERS, 2)}
    assert sorted(entries(outputs)) == sorted((user, "plan_a", "timer:adopt") for user in matching)
    assert {one["user"] for topic, one in outputs if topic == "messages.email"} == matching
    times = {one["at"] for topic, one in outputs if topic == "signals"}
    assert len(times) > 5, "users come to new conditions one after the other"
    days = counted(state, "plan_a").days
    assert [(day.entered, day.adopted) for day in days] == [(USERS // 2, 0)]


def test_a_user_whose_step_comes_first_enters_before_the_event_changes_anything() -> None:
    left = identified("u0", 0, plan="b")
    again = msgspec.structs.replace(left, id="again", at=START, trust="public")

    state, outputs = fold(tick(0), *known_users(), configured(1, PLAN, rules=[RULE]), again)

    signals = [one for topic, one in outputs if topic == "signals"]
    assert [(one["kind"], one["cause"]) for one in signals] == [
        ("segment_entered", "timer:adopt"),
        ("segment_left", "again"),
    ]
    assert [one.get("public", False) for one in signals] == [False, True], "the event did not cause the entry"
    assert unpack(state.records[b"u0"]).ledger.memberships is None


def test_a_segment_that_is_silent_or_whose_condition_is_the_same_lets_no_one_enter() -> None:
    log = (tick(0), *known_users(), configured(1, SILENT_PLAN), tick(HOUR))

    assert entries(fold(*log)[1]) == []
    assert entries(fold(*log, configured(2, PLAN), tick(2 * HOUR))[1]) == []


def test_only_users_who_are_not_members_enter_a_changed_segment() -> None:
    changed = {**PLAN, "when": {"trait": "plan", "in": ["a", "b"]}}

    _, outputs = fold(
        tick(0), *known_users(), configured(1, SILENT_PLAN), tick(HOUR), configured(2, changed), tick(DAY)
    )

    assert {user for user, _, _ in entries(outputs)} == {f"u{n}" for n in range(1, USERS, 2)}


def test_a_user_who_comes_to_several_configurations_at_once_enters_with_a_signal() -> None:
    other = {"name": "other", "when": {"trait": "plan", "is": "c"}}

    _, outputs = fold(tick(0), *known_users(), configured(1, PLAN), configured(2, PLAN, other), tick(DAY))

    assert len(entries(outputs)) == USERS // 2


def test_a_later_change_of_other_conditions_or_of_the_gaps_lets_no_one_enter() -> None:
    bought = {"name": "silent", "when": {"not": {"absent": "product_view", "for": "1 gap"}}, "on_apply": "enter"}
    views = [viewed("v", 0), viewed("w", 50 * DAY)]
    log = (tick(0), configured(1, bought), views[0], tick(50 * DAY), views[1], tick(51 * DAY))

    _, outputs = fold(*log, gaps_version(1, 60.0), tick(52 * DAY))

    assert [user for user, _, _ in entries(outputs)] == ["v", "w"], "v is back in the longer gap, silently"


def test_users_enter_when_the_history_of_the_clauses_is_complete_also_those_of_dependent_segments() -> None:
    segments = (VIEWERS, BOTH)
    clauses = tuple(event_clauses(parse({"segments": list(segments)}, {}).segments))
    views = [viewed("u0", 1), viewed("u0", 2), viewed("u1", 1), viewed("u1", 2), viewed("u2", 1)]
    log = (tick(10), *known_users(), *views, configured(1, *segments), BringHistory(clauses), tick(MINUTE))
    offset = len(segment_log(*log))
    state, outputs = fold(*log)
    assert entries(outputs) == []

    reference, _ = fold(configured(1, *segments), tick(10), *known_users(), *views)
    memories = {user: unpack(reference.records[user.encode()]).facts.clauses for user in ("u0", "u1", "u2")}
    brought = [UserHistory(user, offset, START, known.entries) for user, known in memories.items() if known is not None]
    state, outputs = fold(*log, *brought, HistoryComplete(clauses), tick(HOUR))

    assert sorted(entries(outputs)) == [
        ("u0", "both", "timer:adopt"),
        ("u0", "viewers", "timer:adopt"),
        ("u1", "viewers", "timer:adopt"),
    ]
    assert counted(state, "viewers").days[0].entered == 2
