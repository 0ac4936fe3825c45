"""Random orders about runs: moves, ends and pauses give the same as a naive walk, whenever a run follows them."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

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
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.configuration.journeys.versions import places_of, version_of
from models.engage.journeys.entering import EntryCause, run_id
from models.engage.journeys.machine import SendVerdict
from models.engage.journeys.moving import share
from models.engage.journeys.orders import RunOrder, WalkedVersion, next_order, released_at, settled
from models.engage.journeys.walking import CompiledJourney, Walk, WalkRules, ended_moves, entered_by
from models.events import Event
from models.profile.runs import Run, UserRuns
from models.units import DAY, HOUR, MINUTE
from tests.support.naive_orders import OrderedNaiveRun
from tests.unit.models.engage.journeys.test_walking import (
    LENGTHS,
    START,
    USER,
    ZONE,
    allowed,
    as_events,
    journeys,
)

REACHED_AFTER = 90 * MINUTE
"""Time after an order by which a run without a step is reached."""


class _World:
    """A world that remembers each message with the time since which it was held."""

    zone = ZONE
    user = USER

    def __init__(self, walk: Walk, at: int, sent: list[tuple[int, int, str, tuple[int, ...]]]) -> None:
        self._walk, self._at, self._sent = walk, at, sent

    def truth(self, condition: Any, run: Run) -> bool | None:
        return self._walk.truth(condition, run)

    def send(self, run: Run, step: SendStep, key: str) -> SendVerdict:
        if not allowed(self._at):
            return SendVerdict("dropped", "capped")
        self._sent.append((self._at, run.held_since or self._at, step.id, tuple(one.number for one in run.rounds)))
        return SendVerdict("sent")

    def call(self, run: Run, step: Any, key: str) -> None:
        raise AssertionError(step)

    def mark(self, run: Run, step: Any) -> None:
        pass

    def reach(self, run: Run) -> None:
        pass


class _User:
    """A user whose runs follow an order when the user is next reached, as the fold does it."""

    def __init__(self, journey: Journey) -> None:
        self.current = CompiledJourney(journey)
        self.versions = {self.current.version: self.current}
        self.orders: list[RunOrder] = []
        self.paused: dict[str, str] = {}
        self.runs = UserRuns()
        self.due = self.reached_at = NEVER
        self.sent: list[tuple[int, int, str, tuple[int, ...]]] = []
        self.moves: list[Any] = []

    def order(self, at: int, kind: Any, spread: int) -> RunOrder:
        at = max([at, *(one.at + 1 for one in self.orders)])
        version = "" if kind == "resume" else self.current.version
        self.orders.append(RunOrder("one", kind, at, version, spread))
        self.reached_at = at + REACHED_AFTER
        return self.orders[-1]

    def use(self, journey: Journey) -> None:
        self.current = CompiledJourney(journey)
        self.versions[self.current.version] = self.current

    def pass_time(self, now: int) -> None:
        while (at := min(self.due, self.reached_at)) <= now:
            self._catch_up(at)
            if self.reached_at <= at:
                self.reached_at = NEVER
            if self.due <= at:
                self._step(self.due, None)
        self._catch_up(now)

    def _catch_up(self, now: int) -> None:
        """Let the runs follow the orders, each before the timers that are due then or later."""
        while (at := self._next_order()) != NEVER:
            self._settle(at)
            while self.due <= now and self.due < self._next_order():
                self._step(self.due, None)

    def _next_order(self) -> int:
        return min((next_order(run, self.orders) for run in self.runs.active), default=NEVER)

    def see(self, now: int, event: Event) -> None:
        self.pass_time(now)
        self._step(now, event)

    def _settle(self, until: int) -> None:
        active, changed_at = [], 0
        for run in self.runs.active:
            (progress, at) = settled(run, [one for one in self.orders if one.at <= until], self._version, ZONE)
            changed_at = max(changed_at, at)
            if progress.ended:
                self.moves += ended_moves(run, at, progress.ended)
            else:
                active.append(progress.run)
        self.runs = UserRuns(tuple(active), self.runs.entered)
        if changed_at:
            self.due = changed_at if active else NEVER

    def _version(self, version: str) -> WalkedVersion | None:
        found = self.versions.get(version)
        return None if found is None else WalkedVersion(found.journey, found.clauses)

    def _step(self, at: int, event: Event | None) -> None:
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(self.runs), type=UserRuns)
        newest = {"one": self.orders[-1].at} if self.orders else {}
        walk = Walk(
            WalkRules(self.versions, self.paused, newest),
            stored,
            at,
            Person(USER, NoValues(), ZONE, known_since=1),
            ask=lambda clause: pytest.fail(f"{clause} reads no entry"),
            world=lambda _, of: _World(of, at, self.sent),
        )
        walk.go_on(event)
        if event is not None:
            for one in entered_by((self.current,), event):
                walk.enter(one, EntryCause(event.id, min(event.at, at), event))
        self.runs, self.due = walk.runs, walk.next_due()
        assert self.due > at
        self.moves += walk.moves


def varied(journey: Journey, chance: random.Random) -> Journey:
    """Return another version of a journey: steps are missing, inserted, or wait for another time or event."""
    numbers = [0]

    def steps_of(steps: tuple[JourneyStep, ...]) -> tuple[JourneyStep, ...]:
        found: list[JourneyStep] = []
        for step in steps:
            if chance.random() < 0.1:
                numbers[0] += 1
                name = f"n{numbers[0]}"
                made: list[JourneyStep] = [WaitStep(name, chance.choice(LENGTHS)), SendStep(name, name)]
                found.append(chance.choice(made))
            if chance.random() < 0.88:
                found.append(varied_step(step))
        return tuple(found)

    def varied_step(step: JourneyStep) -> JourneyStep:
        length, changes = chance.choice(LENGTHS), chance.random() < 0.5
        match step:
            case WaitStep():
                return replace(step, duration=length) if changes else step
            case WaitUntilStep():
                return replace(step, at=LocalTime(chance.choice([0, 150, 540]), step.at.days)) if changes else step
            case SendStep():
                return replace(step, retry_capped=chance.choice([0, HOUR, 2 * HOUR])) if changes else step
            case WaitForStep():
                step = replace(step, then=steps_of(step.then), otherwise=steps_of(step.otherwise))
                return replace(step, at_most=length) if changes else step
            case BranchStep():
                return replace(step, cases=tuple(BranchCase(steps_of(c.steps), c.condition) for c in step.cases))
            case ExperimentStep():
                return replace(step, arms=tuple(Arm(arm.name, arm.weight, steps_of(arm.steps)) for arm in step.arms))
            case RepeatStep():
                step = replace(step, steps=steps_of(step.steps) or (WaitStep(f"r{step.id}", MINUTE),))
                return replace(step, every=length, times=chance.randrange(1, 5)) if changes else step
        return step

    steps = steps_of(journey.steps) or (WaitStep("only", HOUR),)
    names = [step.id for _, step in places_of(steps) if hasattr(step, "id")]
    old = [step.id for _, step in places_of(journey.steps) if hasattr(step, "id")]
    moved_to = tuple(sorted((one, chance.choice(names)) for one in old if names and chance.random() < 0.15))
    return replace(journey, steps=steps, moved_to=moved_to)


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["move", "move", "exit", "finish", "pause", "resume", "pause_drop"]),
        st.sampled_from([0, HOUR, DAY]),
        st.integers(0, 2**32),
    ),
    min_size=1,
    max_size=4,
)


class _Naive:
    """Naive runs, which follow every order at once."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.runs: list[OrderedNaiveRun] = []
        self.is_paused = self.drops = False

    def see(self, now: int, event: Event) -> None:
        for one in self.runs:
            one.pass_time(now)
            one.see(now, event)
        is_dropped = self.is_paused and self.drops
        if event.name == "Start" and all(one.ended is not None for one in self.runs) and not is_dropped:
            run = OrderedNaiveRun(self.journey, event, min(event.at, now), USER, ZONE, allowed)
            run.is_paused = self.is_paused
            self.runs.append(run)
            run.begin(now)

    def id_of(self, run: OrderedNaiveRun) -> str:
        return run_id(USER, "one", "", run.entry_event.id)


def obey(user: _User, naive: _Naive, now: int, action: tuple[str, int, int]) -> None:
    kind, spread, seed = action
    for run in naive.runs:
        run.pass_time(now)
    if kind in ("move", "exit", "finish"):
        journey = varied(user.current.journey, random.Random(seed))
        user.use(journey)
        naive.journey = journey
        if kind == "finish":
            return
        order, version = user.order(now, kind, spread), version_of(journey)
        for run in naive.runs:
            run.pass_time(order.at - 1)
            if version_of(run.journey) == version:
                continue
            if kind == "exit":
                run.exit(order.at)
            else:
                run.move(order.at, journey, order.at + 1 + share(naive.id_of(run), version, spread))
    elif kind == "resume" and user.paused:
        user.paused.clear()
        naive.is_paused = False
        order = user.order(now, "resume", spread)
        for run in naive.runs:
            run.resume(order.at, released_at(naive.id_of(run), order))
    elif kind.startswith("pause"):
        user.paused["one"] = "drop" if kind == "pause_drop" else "hold"
        naive.is_paused, naive.drops = True, kind == "pause_drop"
        for run in naive.runs:
            run.pause()


@st.composite
def _events(draw: st.DrawFn) -> list[tuple[int, str, Any, int]]:
    gaps = st.integers(0, 12 * HOUR // MINUTE).map(lambda minutes: minutes * MINUTE) | st.sampled_from([0, 1, 3 * DAY])
    names, late = st.sampled_from(("Start", "A", "B")), st.sampled_from([0, 0, 0, HOUR, DAY])
    rest = draw(st.lists(st.tuples(gaps, names, st.sampled_from([None, 1, 2, True]), late), max_size=13))
    return [(0, "Start", draw(st.sampled_from([None, 1])), 0), *rest]


MIDNIGHT = Journey(
    name="one",
    enter=Entry(on=EventTrigger(EventMatch("Start"))),
    exits=(Exit(name="late", after=3 * HOUR),),
    steps=(WaitUntilStep("s1", LocalTime(0)),),
)


@settings(max_examples=300, deadline=None)
@given(journeys(), _events(), ACTIONS)
@example(MIDNIGHT, [(0, "Start", None, 0)], [(0, "move", 0, 2), (0, "move", 0, 1)])
def test_runs_that_follow_orders_when_they_are_reached_equal_a_naive_walk_that_follows_them_at_once(
    journey: Journey, written: list[tuple[int, str, Any, int]], actions: list[tuple[int, str, int, int]]
) -> None:
    user, naive = _User(journey), _Naive(journey)
    for number, (now, event) in enumerate(as_events(written)):
        user.see(now, event)
        naive.see(now, event)
        for place, kind, spread, seed in actions:
            if place == number:
                obey(user, naive, now, (kind, spread, seed))
    end = START + 400 * DAY
    user.pass_time(end)
    for one in naive.runs:
        one.pass_time(end)

    walked = [one for run in naive.runs for one in zip(run.sent, run.basis, strict=True)]
    assert user.sent == [(at, basis, *rest) for (at, *rest), basis in walked]
    ended = [(move.at, move.outcome) for move in user.moves if move.kind == "ended"]
    assert ended == [one.ended for one in naive.runs]
    assert user.runs.active == ()
    held = sum({"held": 1, "released": -1}.get(move.kind, 0) for move in user.moves)
    assert held == 0
