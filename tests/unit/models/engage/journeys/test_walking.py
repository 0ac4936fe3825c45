"""Random journeys and random events: the walk equals a naive one, at every instant and however it is cut."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions.amounts import Bounds
from models.conditions.clauses import EventClause, EventWindow, Measure, ValueComparison
from models.conditions.leaf import NoValues, Person
from models.conditions.periods import NEVER
from models.configuration.journeys.definition import (
    Arm,
    BranchCase,
    BranchStep,
    Entry,
    EventMatch,
    EventTrigger,
    Exit,
    ExperimentStep,
    Journey,
    JourneyStep,
    LocalTime,
    RepeatStep,
    SendStep,
    SetStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.engage.journeys.entering import EntryCause
from models.engage.journeys.machine import SendVerdict
from models.engage.journeys.walking import CompiledJourney, Walk, WalkRules, entered_by
from models.events import Event
from models.profile.runs import Run, UserRuns
from models.units import DAY, HOUR, MINUTE
from tests.support.naive_journeys import NaiveRun

START = 1_774_700_000_000
"""28 March 2026, the day before the clocks go forward in Berlin."""
ZONE = ZoneInfo("Europe/Berlin")
USER = "u1"
NAMES = ("Start", "A", "B")
LENGTHS = (MINUTE, HOUR, 26 * HOUR, 3 * DAY)


class _World:
    """A world in which the planner drops some messages, for a reason that follows from the time alone."""

    zone = ZONE
    user = USER

    def __init__(self, walk: Walk, at: int, sent: list[tuple[int, str, tuple[int, ...]]]) -> None:
        self._walk, self._at, self._sent = walk, at, sent

    def reach(self, run: Run) -> None:
        pass

    def truth(self, condition: Any, run: Run) -> bool | None:
        return self._walk.truth(condition, run)

    def send(self, run: Run, step: SendStep, key: str) -> SendVerdict:
        if not allowed(self._at):
            return SendVerdict("dropped", "capped")
        self._sent.append((self._at, step.id, tuple(one.number for one in run.rounds)))
        return SendVerdict("sent")

    def call(self, run: Run, step: Any, key: str) -> None:
        raise AssertionError(step)

    def mark(self, run: Run, step: SetStep) -> None:
        pass


def allowed(at: int) -> bool:
    return (at // HOUR) % 3 != 0


class _User:
    """A user whose runs are stored and read again after every step."""

    def __init__(self, journey: Journey) -> None:
        self.compiled = CompiledJourney(journey)
        self.runs = UserRuns()
        self.now, self.due = 0, NEVER
        self.sent: list[tuple[int, str, tuple[int, ...]]] = []
        self.moves: list[Any] = []

    def pass_time(self, now: int) -> None:
        while self.due <= now:
            self._step(self.due, None)
        self.now = max(self.now, now)

    def see(self, now: int, event: Event) -> None:
        self.pass_time(now)
        self._step(now, event)

    def _step(self, at: int, event: Event | None) -> None:
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(self.runs), type=UserRuns)
        person = Person(USER, NoValues(), ZONE, known_since=1)
        walk = Walk(
            WalkRules({self.compiled.version: self.compiled}),
            stored,
            at,
            person,
            ask=lambda clause: pytest.fail(f"{clause} reads no entry"),
            world=lambda _, of: _World(of, at, self.sent),
        )
        walk.go_on(event)
        if event is not None:
            for one in entered_by((self.compiled,), event):
                walk.enter(one, EntryCause(event.id, min(event.at, at), event))
        self.runs, self.due = walk.runs, walk.next_due()
        assert self.due > at
        self.moves += walk.moves


def matches_(draw: st.DrawFn) -> EventMatch:
    where: tuple[tuple[str, ValueComparison], ...] = draw(
        st.sampled_from([(), (("x", ValueComparison(same_as="entry.x")),), (("x", ValueComparison(among=(1,))),)])
    )
    return EventMatch(draw(st.sampled_from(NAMES[1:])), where)


@st.composite
def step_lists(draw: st.DrawFn, depth: int, numbers: list[int]) -> tuple[JourneyStep, ...]:
    return tuple(draw(steps(depth, numbers)) for _ in range(draw(st.integers(0, 3))))


@st.composite
def steps(draw: st.DrawFn, depth: int, numbers: list[int]) -> JourneyStep:
    numbers.append(len(numbers))
    name = f"s{len(numbers)}"
    kinds = ["send", "wait", "until", "set"] + ["wait_for", "branch", "experiment", "repeat"] * (depth < 3)
    length = draw(st.sampled_from(LENGTHS))
    match draw(st.sampled_from(kinds)):
        case "send":
            return SendStep(name, name, retry_capped=draw(st.sampled_from([0, HOUR])), exits_capped=draw(st.booleans()))
        case "wait":
            return WaitStep(name, length)
        case "until":
            days = draw(st.sampled_from([(), (0, 3), (6,)]))
            return WaitUntilStep(name, LocalTime(draw(st.sampled_from([0, 150, 540, 1439])), days))
        case "wait_for":
            return WaitForStep(
                name,
                matches_(draw),
                length,
                draw(st.booleans()),
                draw(step_lists(depth + 1, numbers)),
                draw(step_lists(depth + 1, numbers)),
            )
        case "branch":
            condition, last = draw(counts()), BranchCase(draw(step_lists(depth + 1, numbers)))
            return BranchStep(name, (BranchCase(draw(step_lists(depth + 1, numbers)), condition), last))
        case "experiment":
            arms = tuple(Arm(arm, 1, draw(step_lists(depth + 1, numbers))) for arm in ("a", "b"))
            return ExperimentStep(name, name, arms)
        case "repeat":
            inner = draw(step_lists(depth + 1, numbers))
            return RepeatStep(name, length, draw(st.integers(1, 4)), inner, draw(st.none() | counts()))
    return SetStep((("mark", True),))


@st.composite
def counts(draw: st.DrawFn) -> EventClause:
    match = matches_(draw)
    measure = Measure("times", Bounds(at_least=draw(st.integers(1, 3))))
    return EventClause(match.event, measure, EventWindow("entry"), match.where)


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    exits = [Exit("late", after=draw(st.sampled_from([3 * HOUR, 30 * DAY])))]
    if draw(st.booleans()):
        exits.insert(0, Exit("done", on=matches_(draw)))
    return Journey(
        "one",
        Entry(EventTrigger(EventMatch("Start")), keep=("x",), again="always"),
        tuple(exits),
        draw(step_lists(0, [])) or (WaitStep("w", HOUR),),
    )


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 12 * HOUR // MINUTE).map(lambda minutes: minutes * MINUTE) | st.sampled_from([0, 1, 3 * DAY]),
        st.sampled_from(NAMES),
        st.sampled_from([None, 1, 2, True]),
        st.sampled_from([0, 0, 0, HOUR, DAY]),
    ),
    min_size=1,
    max_size=14,
)


def as_events(written: list[tuple[int, str, Any, int]]) -> list[tuple[int, Event]]:
    now, found = START, []
    for number, (gap, name, value, late) in enumerate(written):
        now += gap
        properties = None if value is None else {"x": value}
        event = Event(id=f"m{number}", user=USER, type="custom", at=now - late, name=name, properties=properties)
        found.append((now, event))
    return found


@settings(max_examples=300, deadline=None)
@given(journeys(), EVENTS)
def test_a_walk_equals_a_naive_walk(journey: Journey, written: list[tuple[int, str, Any, int]]) -> None:
    user, naive = _User(journey), list[NaiveRun]()
    for now, event in as_events(written):
        user.see(now, event)
        for one in naive:
            one.pass_time(now)
            one.see(now, event)
        if event.name == "Start" and all(one.ended is not None for one in naive):
            naive.append(NaiveRun(journey, event, min(event.at, now), USER, ZONE, allowed))
            naive[-1].begin(now)
    end = START + 400 * DAY
    user.pass_time(end)
    for one in naive:
        one.pass_time(end)

    assert user.sent == [sent for one in naive for sent in one.sent]
    ended = [(move.at, move.outcome) for move in user.moves if move.kind == "ended"]
    assert ended == [one.ended for one in naive]
    assert user.runs.active == ()
