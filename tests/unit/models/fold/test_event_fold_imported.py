"""Nothing reacts to imported events: no rule, no journey, no campaign; users become members of segments in silence."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import msgspec
import pytest

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.members import read_members
from models.imported import ImportNote
from models.log import Clock, Tick, Use
from models.profile.codec import unpack
from models.units import DAY
from tests.support.event_logs import START, fold_log, written

RULES: list[dict[str, Any]] = [
    {"name": "hello", "when": {"event": "identify"}},
    {"name": "pro", "when": {"entered_segment": "pros"}},
]
JOURNEY = {
    "name": "onboarding",
    "enter": {"on": {"event": "identify"}},
    "exit": [{"after": "30d", "as": "late"}],
    "steps": [{"set": {"welcomed": True}}, {"id": "b", "wait": "1d"}, {"set": {"done": True}}],
}
TEMPLATES = {name: Template("Subject", "Text.") for name in ("hello", "pro")}


def fold(*events: Event) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """Fold events; return the state, the signals and the decisions."""
    made = {
        "rules": RULES,
        "segments": [{"name": "pros", "when": {"trait": "plan", "is": "pro"}}],
        "journeys": [JOURNEY],
    }
    use = Use(name="configuration", version=1, content=msgspec.Raw(encode(parse(made, TEMPLATES))))
    state, outputs = fold_log(written([Clock("feeder", 2), Tick(at=START), use, *events]), repeat(3))
    records = [record for each in outputs for record in each.commit.records]
    signals, decisions = (
        [msgspec.json.decode(record.value or b"") for record in records if record.topic == topic]
        for topic in ("signals", "decisions")
    )
    return state, signals, decisions


def line(*, enters: bool = False, known: bool = False) -> list[Event]:
    before = [Event(id="m0", user="u1", type="custom", name="anything", at=START)] if known else []
    note = ImportNote("r1", enters=enters)
    said = {"plan": "pro", "email": "ada@example.org"}
    return [*before, Event(id="i1", user="u1", type="identify", at=START + 1, traits=said, imported=note)]


@pytest.mark.parametrize("known", [False, True])
def test_nothing_reacts_to_an_imported_event_but_the_user_becomes_a_member(known: bool) -> None:
    state, signals, decisions = fold(*line(known=known))

    user = unpack(state.records[b"u1"])
    assert (signals, decisions) == ([], [])
    assert user.ledger.runs is None
    members = read_members(state.records[b"\x00members:pros"])
    assert (members.number, [one.user for one in members.newest]) == (1, ["u1"])
    assert [(day.entered, day.adopted) for day in members.days] == [(0, 1)], "the member came in silence"


def test_with_enter_rules_and_journeys_react_as_to_any_event() -> None:
    state, signals, decisions = fold(*line(enters=True))

    assert {one["kind"] for one in signals} >= {"segment_entered", "event"}
    assert {one["rule"] for one in decisions} == {"hello", "pro"}
    assert unpack(state.records[b"u1"]).ledger.marks == {"welcomed": True}


def test_a_run_under_way_sees_no_imported_event_and_later_events_find_the_member() -> None:
    later = Event(id="m2", user="u1", type="identify", at=START + DAY, traits={"city": "Bonn"})
    leaves = Event(id="m3", user="u1", type="identify", at=START + 2 * DAY, traits={"plan": "basic"})

    _, signals, _ = fold(*line(), later, leaves)

    moves = [(one["kind"], one["name"]) for one in signals if one["kind"].startswith("segment")]
    assert moves == [("segment_left", "pros")]
