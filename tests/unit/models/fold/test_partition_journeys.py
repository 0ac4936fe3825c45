"""Journeys in the fold: entries, waits, exits, goals and messages, in batches of any size."""

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
from models.fold.journey_counts import JourneyCounts, key_of, read_counts
from models.log import Tick, Use, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START, PartitionRecord, fold_log, written

Outputs = list[tuple[str, dict[str, Any]]]

TEMPLATES = {
    name: Template(
        subject=f"{name} {{{{ entry.plan }}}}", text="Hello. {{ unsubscribe_url }}", fallback="Subject: H\n\nT."
    )
    for name in ("hello", "nudge", "last")
}
TRIAL: dict[str, Any] = {
    "name": "trial",
    "enter": {"on": {"event": "Trial Started"}, "key": "workspace", "keep": ["plan"], "again": "always"},
    "exit": [
        {"on": {"event": "Subscribed", "where": {"workspace": {"same_as": "entry.workspace"}}}, "as": "converted"},
        {"after": "30d", "as": "timed_out"},
    ],
    "goal": {
        "event": "Subscribed",
        "where": {"workspace": {"same_as": "entry.workspace"}},
        "within": "14d",
        "value": "seats",
    },
    "steps": [
        {"id": "first", "send": "hello"},
        {
            "id": "setup",
            "wait_for": {
                "event": "Project Created",
                "where": {"workspace": {"same_as": "entry.workspace"}},
                "at_most": "3d",
            },
            "then": [{"set": {"onboarded": True}}],
            "otherwise": [{"id": "second", "send": "nudge"}],
        },
        {"id": "pause", "wait": "2d"},
        {"id": "third", "send": "last"},
    ],
}
SIZES = [1, 3, 1_000]


def configuration(version: int, *journeys: dict[str, Any], **sections: Any) -> Use:
    content = encode(parse({"journeys": list(journeys), **sections}, TEMPLATES))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def custom(user: str, at: int, name: str, **properties: Any) -> Event:
    key = f"{user}-{at}-{name}-{properties}"
    return Event(
        id=key, user=user, type="custom", at=START + at, origin="simulate", name=name, properties=properties or None
    )


def known(user: str) -> Event:
    traits = {"email": f"{user}@example.org"}
    return Event(id=f"i-{user}", user=user, type="identify", at=START, origin="simulate", traits=traits)


def consent(user: str, at: int = 0, *, granted: bool = True) -> Event:
    name = f"c-{user}-{at}"
    return Event(id=name, user=user, type="consent", at=START + at, origin="simulate", channel="email", granted=granted)


def tick(at: int) -> Tick:
    return Tick(at=START + at)


def log(*contents: Any) -> list[PartitionRecord]:
    """Return a log in which the clock moves every hour, and to the time of each event; then 40 days pass."""
    found, now = list[Any](), -HOUR
    for one in (*contents, tick(10 * DAY)):
        at = one.at - START if isinstance(one, Event | Tick) else now
        while now + HOUR <= at:
            now += HOUR
            found.append(tick(now))
        if at > now:
            found.append(tick(at))
        if not isinstance(one, Tick):
            found.append(one)
    return written([opening("feeder"), *found, tick(40 * DAY)])


def fold(records: list[PartitionRecord], size: int = 1_000) -> tuple[Restored, Outputs]:
    state, given = fold_log(records, itertools.repeat(size))
    return state, [(r.topic, json.loads(r.value)) for o in given for r in o.commit.records if r.value and r.key]


def sent(outputs: Outputs) -> list[tuple[int, str, str]]:
    """Return the messages: time after the start, step, and subject."""
    return [
        (one["at"] - START, one["rule"], one["subject"])
        for topic, one in outputs
        if topic == "messages.email" and "rule" in one
    ]


def moves(outputs: Outputs) -> list[tuple[int, str, str]]:
    """Return what has happened to runs: time after the start, kind, and outcome."""
    return [
        (one["at"] - START, one["kind"].removeprefix("journey_"), one.get("origin", ""))
        for topic, one in outputs
        if topic == "signals" and one["kind"].startswith("journey_")
    ]


def counts(state: Restored, journey: str = "trial") -> JourneyCounts:
    return read_counts(state.records[key_of(journey)])


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_nothing_happens_to_goes_its_way_by_timers(size: int) -> None:
    start = custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro")
    records = log(configuration(1, TRIAL), known("u1"), consent("u1"), start)

    state, outputs = fold(records, size)

    assert sent(outputs) == [
        (HOUR, "trial/first", "hello pro"),
        (HOUR + 3 * DAY, "trial/second", "nudge pro"),
        (HOUR + 5 * DAY, "trial/third", "last pro"),
    ]
    assert moves(outputs) == [(HOUR, "entered", ""), (HOUR + 5 * DAY, "ended", "completed")]
    assert counts(state) == JourneyCounts(entered=1, ended={"completed": 1})
    assert unpack(state.records[b"u1"]).ledger.timers == []


@pytest.mark.parametrize("size", SIZES)
def test_a_wait_is_matched_to_the_key_of_its_run_and_an_exit_acts_at_once(size: int) -> None:
    events = [
        custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro"),
        custom("u1", HOUR, "Trial Started", workspace="w2", plan="team"),
        custom("u1", 2 * HOUR, "Project Created", workspace="w2"),
        custom("u1", DAY, "Subscribed", workspace="w2", seats=9),
    ]
    records = log(configuration(1, TRIAL), known("u1"), consent("u1"), *events)

    state, outputs = fold(records, size)

    assert [step for _, step, _ in sent(outputs)] == ["trial/first", "trial/first", "trial/second", "trial/third"]
    assert moves(outputs) == [
        (HOUR, "entered", ""),
        (HOUR, "entered", ""),
        (DAY, "converted", ""),
        (DAY, "ended", "converted"),
        (HOUR + 5 * DAY, "ended", "completed"),
    ]
    assert [one["value"] for topic, one in outputs if one.get("kind") == "journey_converted"] == [9.0]
    assert counts(state).converted == 1


@pytest.mark.parametrize("size", SIZES)
def test_a_withdrawal_between_two_steps_stops_the_messages_but_not_the_run(size: int) -> None:
    start = custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro")
    withdrawn = consent("u1", DAY, granted=False)
    records = log(
        *(configuration(1, TRIAL), known("u1"), consent("u1"), start),
        withdrawn,
    )

    _, outputs = fold(records, size)

    assert [step for _, step, _ in sent(outputs)] == ["trial/first"]
    dropped = [(one["rule"], one["reason"]) for topic, one in outputs if topic == "decisions" and one.get("reason")]
    assert dropped == [("trial/second", "no_consent"), ("trial/third", "no_consent")]
    assert moves(outputs)[-1] == (HOUR + 5 * DAY, "ended", "completed")


@pytest.mark.parametrize("size", SIZES)
def test_a_new_version_lets_the_runs_in_flight_finish_the_old_one(size: int) -> None:
    shorter = {**TRIAL, "steps": [{"id": "first", "send": "last"}]}
    first = custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro")
    second = custom("u2", 2 * DAY, "Trial Started", workspace="w3", plan="team")
    people = [known("u1"), consent("u1"), known("u2"), consent("u2")]
    records = log(
        *(configuration(1, TRIAL), *people, first, tick(DAY), configuration(2, shorter)),
        second,
    )

    state, outputs = fold(records, size)

    assert sent(outputs) == [
        (HOUR, "trial/first", "hello pro"),
        (2 * DAY, "trial/first", "last team"),
        (HOUR + 3 * DAY, "trial/second", "nudge pro"),
        (HOUR + 5 * DAY, "trial/third", "last pro"),
    ]
    assert counts(state).active == {}


@pytest.mark.parametrize("size", SIZES)
def test_an_exit_on_a_segment_and_a_branch_on_a_clause_see_the_step(size: int) -> None:
    segments = [{"name": "staff", "when": {"trait": "staff", "is": True}}]
    journey = {
        "name": "visits",
        "enter": {"on": {"segment": "curious"}, "again": "always"},
        "exit": [{"when": {"segment": "staff"}, "as": "staff"}, {"after": "9d", "as": "late"}],
        "steps": [
            {
                "id": "many",
                "branch": [
                    {
                        "if": {"event": "Viewed", "times": {"at_least": 3}, "within": "7d"},
                        "do": [{"id": "a", "send": "hello"}],
                    },
                    {"else": [{"id": "b", "send": "nudge"}]},
                ],
            },
            {"id": "pause", "wait": "5d"},
            {"id": "c", "send": "last"},
        ],
    }
    curious = {"name": "curious", "when": {"event": "Viewed", "times": {"at_least": 2}, "within": "7d"}}
    viewed = [custom("u1", minute * MINUTE, "Viewed") for minute in (1, 2, 3)]
    staff = Event(id="s", user="u1", type="identify", at=START + DAY, origin="simulate", traits={"staff": True})
    start = configuration(1, journey, segments=[*segments, curious])
    records = log(start, known("u1"), consent("u1"), *viewed, staff)

    _, outputs = fold(records, size)

    assert sent(outputs) == [(2 * MINUTE, "visits/b", "nudge")]
    assert moves(outputs) == [(2 * MINUTE, "entered", ""), (DAY, "ended", "staff")]


@pytest.mark.parametrize("size", SIZES)
def test_an_exit_drops_a_message_that_waits_for_the_end_of_quiet_hours(size: int) -> None:
    start = custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro")
    other = custom("u1", HOUR, "Trial Started", workspace="w2", plan="team")
    bought = custom("u1", 2 * HOUR, "Subscribed", workspace="w1")
    night = {"from": "00:00", "to": "08:00"}
    records = log(
        configuration(1, TRIAL, quiet_hours=night), known("u1"), consent("u1"), start, other, bought, tick(9 * HOUR)
    )

    _, outputs = fold(records, size)

    dropped = [(one["rule"], one["reason"]) for topic, one in outputs if one.get("outcome") == "dropped"]
    assert dropped[:1] == [("trial/first", "exited")]
    assert sent(outputs)[0][1:] == ("trial/first", "hello team")
    assert not any(subject.endswith("pro") for _, _, subject in sent(outputs))


def test_the_control_group_walks_the_same_way_and_gets_nothing() -> None:
    held_out = {**TRIAL, "holdout": "100%"}
    start = custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro")
    records = log(configuration(1, held_out), known("u1"), consent("u1"), start)

    state, outputs = fold(records)

    assert sent(outputs) == []
    assert moves(outputs) == [(HOUR, "entered", ""), (HOUR + 5 * DAY, "ended", "completed")]
    assert counts(state).held_out == 1
