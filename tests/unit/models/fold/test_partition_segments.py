"""Segments by rule in the fold: signals, what a decision sees, silent entries, timers, and the counted members."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.members import Entrant, key_of, read_members
from models.log import Control, Tick, Use, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import churn_version, segments_version
from tests.support.event_logs import START, PartitionRecord, fold_log, written

Contents = list[Event | Control | tuple[bytes | None, bytes | None]]
Found = tuple[int, str, str, str]

VIEWERS = {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 2}, "within": "3h"}}
SILENT = {"name": "silent", "when": {"absent": "click", "for": "2d"}}
BOUNCED = {"name": "bounced", "when": {"all": [{"segment": "viewers"}, {"not": {"event": "click", "within": "3h"}}]}}


def configuration(version: int, *segments: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> Use:
    templates = {
        "plain": Template(subject="Hello", text="Come back. {{ unsubscribe_url }}", fallback="Subject: H\n\nT.")
    }
    content = encode(parse({"segments": list(segments), "rules": rules or []}, templates))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def view(user: str, at: int, number: int = 0) -> Event:
    name = f"{user}-{at}-{number}"
    return Event(id=name, user=user, type="product_view", at=START + at, origin="simulate", item="s1")


def tick(at: int) -> Tick:
    return Tick(at=START + at)


def log(*contents: Any) -> list[PartitionRecord]:
    return written([opening("feeder"), *contents])


def fold(records: list[PartitionRecord], size: int = 1_000) -> tuple[Restored, list[tuple[str, dict[str, Any]]]]:
    state, given = fold_log(records, itertools.repeat(size))
    return state, [(r.topic, json.loads(r.value)) for o in given for r in o.commit.records if r.value and r.key]


def moves(outputs: list[tuple[str, dict[str, Any]]]) -> list[Found]:
    """Return the moves: time after the start, user, segment, and whether it was entered or left."""
    return [
        (one["at"] - START, one["user"], one["name"], one["kind"].removeprefix("segment_"))
        for topic, one in outputs
        if topic == "signals" and one["kind"].startswith("segment_")
    ]


@pytest.mark.parametrize("size", [1, 1_000])
def test_a_new_time_zone_moves_the_periods_of_the_calendar_in_batches_of_any_size(size: int) -> None:
    segment = {"name": "viewed today", "when": {"event": "product_view", "within": {"calendar": "day"}}}
    auckland = {"timezone": "Pacific/Auckland"}  # 13 hours before UTC
    moved = Event(id="i", user="u1", type="identify", at=START + HOUR, origin="simulate", traits=auckland)
    records = log(configuration(1, segment), tick(0), view("u1", 0), tick(HOUR), moved, tick(DAY))

    assert moves(fold(records, size)[1]) == [
        (0, "u1", "viewed today", "entered"),
        (11 * HOUR, "u1", "viewed today", "left"),
    ]


def test_a_user_enters_at_the_event_and_leaves_when_the_event_has_left_the_window() -> None:
    records = log(configuration(1, VIEWERS), tick(0), view("u1", 0), tick(HOUR), view("u1", HOUR), tick(DAY))

    assert moves(fold(records)[1]) == [(HOUR, "u1", "viewers", "entered"), (3 * HOUR, "u1", "viewers", "left")]


def test_a_signal_states_the_clauses_that_have_changed() -> None:
    _, outputs = fold(log(configuration(1, VIEWERS), tick(HOUR), view("u1", 0), view("u1", HOUR)))

    signal = next(one for topic, one in outputs if topic == "signals")
    assert [json.loads(one) for one in signal["clauses"]] == [VIEWERS["when"]]
    assert signal["cause"] == f"u1-{HOUR}-0"
    assert "covered_from" not in signal


def test_a_rule_on_the_event_that_enters_a_segment_sees_the_entry() -> None:
    rule = {
        "name": "viewed",
        "category": "transactional",
        "when": {"entered_segment": "viewers"},
        "channels": ["email"],
        "template": "plain",
    }
    traits = {"email": "u1@example.org"}
    identify = Event(id="i", user="u1", type="identify", at=START, origin="simulate", traits=traits)
    records = log(configuration(1, VIEWERS, rules=[rule]), tick(HOUR), identify, view("u1", 0), view("u1", HOUR))

    _, outputs = fold(records)

    assert [topic for topic, _ in outputs if topic != "interactions"] == ["signals", "decisions", "messages.email"]
    assert outputs[-1][1]["rule"] == "viewed"


def test_absence_enters_at_the_instant_although_the_clock_jumps_and_the_user_does_nothing() -> None:
    records = log(configuration(1, SILENT), tick(0), view("u1", 0), tick(5 * DAY))

    assert moves(fold(records)[1]) == [(2 * DAY, "u1", "silent", "entered")]


def test_absence_counts_from_the_first_event_of_any_type() -> None:
    identify = Event(id="i", user="u1", type="identify", at=START, origin="simulate", traits={"plan": "a"})
    records = log(configuration(1, SILENT), tick(0), identify, tick(DAY), view("u1", DAY), tick(5 * DAY))

    assert moves(fold(records)[1]) == [(2 * DAY, "u1", "silent", "entered")]


def test_a_segment_may_refer_to_another_one_whose_member_leaves_by_time() -> None:
    records = log(configuration(1, BOUNCED, VIEWERS), tick(MINUTE), view("u1", 0), view("u1", MINUTE), tick(DAY))

    assert moves(fold(records)[1]) == [
        (MINUTE, "u1", "viewers", "entered"),
        (MINUTE, "u1", "bounced", "entered"),
        (3 * HOUR, "u1", "viewers", "left"),
        (3 * HOUR, "u1", "bounced", "left"),
    ]


def test_a_membership_for_a_duration_enters_after_it_and_leaves_with_it() -> None:
    long = {"name": "long", "when": {"segment": "viewers", "for": "1h"}}
    records = log(configuration(1, VIEWERS, long), tick(MINUTE), view("u1", 0), view("u1", MINUTE), tick(DAY))

    assert moves(fold(records)[1]) == [
        (MINUTE, "u1", "viewers", "entered"),
        (HOUR + MINUTE, "u1", "long", "entered"),
        (3 * HOUR, "u1", "viewers", "left"),
        (3 * HOUR, "u1", "long", "left"),
    ]


def test_a_score_moves_a_user_with_hysteresis() -> None:
    segment = {"name": "leaving", "when": {"score": "churn", "at_least": 0.5, "until_below": 0.3}}
    identify = Event(id="i", user="u1", type="identify", at=START, origin="simulate", traits={"plan": "a"})
    days = [tick(day * DAY) for day in range(8)]
    records = log(
        churn_version(1), configuration(1, segment), tick(0), identify, view("u1", 0), *days, view("u1", 7 * DAY)
    )

    found = [(at // DAY, user, name, kind) for at, user, name, kind in moves(fold(records)[1])]
    assert [(name, kind) for _, _, name, kind in found] == [("leaving", "entered"), ("leaving", "left")]
    assert found[1][0] == 7


def test_a_learned_segment_is_a_condition() -> None:
    segment = {
        "name": "busy_viewers",
        "when": {"all": [{"segment": "busy"}, {"event": "product_view", "within": "1d"}]},
    }
    views = [view("u1", number * MINUTE, number) for number in range(40)]
    records = log(segments_version(1), configuration(1, segment), tick(HOUR), *views, tick(3 * DAY))

    found = moves(fold(records)[1])
    assert ("busy_viewers", "entered") in {(name, kind) for _, _, name, kind in found}
    entered = {name: at for at, _, name, kind in found if kind == "entered"}
    assert entered["busy_viewers"] >= entered["busy"]


def test_users_who_were_there_before_become_members_silently_and_late_ones_by_a_timer() -> None:
    plan = {"name": "plan_a", "when": {"trait": "plan", "is": "a"}}
    users = [
        Event(id=f"i{n}", user=f"u{n}", type="identify", at=START, origin="simulate", traits={"plan": "ab"[n % 2]})
        for n in range(40)
    ]
    records = log(tick(0), *users, configuration(1, plan), tick(DAY), tick(2 * DAY))

    state, outputs = fold(records)

    assert moves(outputs) == []
    members = {key.decode() for key, packed in state.records.items() if key[:1] != b"\x00" and _memberships(packed)}
    assert members == {f"u{n}" for n in range(0, 40, 2)}
    counted = read_members(state.records[key_of("plan_a")])
    assert (counted.number, [day.adopted for day in counted.days], len(counted.newest)) == (20, [20], 20)


def test_a_user_comes_to_new_segments_at_the_due_time_although_the_clock_jumps() -> None:
    records = log(tick(0), view("u1", 0), tick(HOUR), configuration(1, SILENT), tick(9 * DAY))

    state, outputs = fold(records)

    assert moves(outputs) == [(HOUR + 2 * DAY, "u1", "silent", "entered")]
    assert read_members(state.records[key_of("silent")]).days[0].day == (START + HOUR + 2 * DAY) // DAY


def test_a_new_absence_matches_no_one_by_mistake_before_it_has_seen_enough() -> None:
    users = [view(f"u{n}", 0) for n in range(10)]
    records = log(tick(0), *users, tick(10 * DAY), configuration(1, SILENT), tick(11 * DAY), tick(12 * DAY - 1))

    state, outputs = fold(records)
    later, more = fold([*records, *written([tick(12 * DAY + 10)])[0:1]])

    assert moves(outputs) == []
    assert not any(_memberships(packed) for key, packed in state.records.items() if key[:1] != b"\x00")
    assert {(at, name, kind) for at, _, name, kind in moves(more)} == {(12 * DAY, "silent", "entered")}
    assert len(moves(more)) == 10
    assert read_members(later.records[key_of("silent")]).number == 10


def test_a_changed_segment_keeps_its_members_and_a_removed_one_is_forgotten() -> None:
    other = {**VIEWERS, "when": {"any": [VIEWERS["when"], {"trait": "plan", "is": "a"}]}}
    records = log(
        *(configuration(1, VIEWERS, SILENT), tick(MINUTE), view("u1", 0), view("u1", MINUTE)),
        *(configuration(2, other), tick(2 * MINUTE), view("u1", 2 * MINUTE), tick(3 * MINUTE)),
    )

    state, outputs = fold(records)

    assert moves(outputs) == [(MINUTE, "u1", "viewers", "entered")]
    assert read_members(state.records[key_of("viewers")]).number == 1
    assert key_of("silent") not in state.records


def test_a_segment_that_comes_again_counts_the_members_who_did_not_come_to_the_conditions_without_it() -> None:
    users = [view(f"u{n}", at) for n in range(3) for at in (0, MINUTE)]
    records = log(
        *(configuration(1, VIEWERS), tick(MINUTE), *users, configuration(2, SILENT), configuration(3, VIEWERS, SILENT)),
        *(tick(2 * MINUTE), view("u1", 2 * MINUTE), tick(10 * HOUR)),
    )

    for length in (len(records) - 1, len(records)):
        state, _ = fold(records[:length])
        members = read_members(state.records[key_of("viewers")])
        assert members.number == sum(_memberships(packed) for packed in users_of(state))
    assert [(day.entered, day.left, day.adopted) for day in members.days] == [(0, 3, 3)]
    assert members.newest == []


def test_the_members_are_counted_by_day() -> None:
    records = log(
        *(configuration(1, VIEWERS), tick(MINUTE), view("u1", 0), view("u1", MINUTE), view("u2", 0)),
        *(tick(DAY + MINUTE), view("u2", DAY), view("u2", DAY + MINUTE)),
    )

    members = read_members(fold(records)[0].records[key_of("viewers")])

    assert members.number == 1
    assert [(day.entered, day.left) for day in members.days] == [(1, 1), (1, 0)]
    assert [one.user for one in members.newest] == ["u2"]


def test_after_the_newest_members_have_left_those_who_stay_are_listed() -> None:
    plan = {"name": "plan_a", "when": {"trait": "plan", "is": "a"}}
    names = [f"u{n:02}" for n in range(30)]

    def said(name: str, at: int, plan: str) -> Event:
        return Event(id=f"{name}-{at}", user=name, type="identify", at=START + at, traits={"plan": plan})

    begin = [configuration(1, plan), tick(0), *(said(name, n, "a") for n, name in enumerate(names))]
    left = [tick(HOUR), *(said(name, HOUR, "b") for name in names[10:28])]
    newest = [one.user for one in newest_of(*begin, *left)]
    assert newest == names[28:]
    again = [tick(2 * HOUR), said("u03", 2 * HOUR, "a"), configuration(2, plan, SILENT), tick(3 * HOUR), tick(4 * HOUR)]
    assert [one.user for one in newest_of(*begin, *left, *again)] == [*names[:10], *names[28:]]


def newest_of(*contents: Any) -> list[Entrant]:
    return read_members(fold(log(*contents))[0].records[key_of("plan_a")]).newest


def users_of(state: Restored) -> list[bytes]:
    return [packed for key, packed in state.records.items() if key[:1] != b"\x00"]


def _memberships(packed: bytes) -> bool:
    return unpack(packed).ledger.memberships is not None
