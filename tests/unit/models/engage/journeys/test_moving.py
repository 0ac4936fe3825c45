"""A run that is moved twice before it is released stands at the step to which the last move has sent it."""

from __future__ import annotations

from datetime import UTC

from models.configuration.journeys.definition import (
    Entry,
    EventMatch,
    EventTrigger,
    Exit,
    Journey,
    JourneyStep,
    RepeatStep,
    SendStep,
    WaitStep,
)
from models.configuration.journeys.versions import version_of
from models.engage.journeys.clauses import RunClauses
from models.engage.journeys.moving import MoveTarget, moved
from models.profile.runs import NOT_BEGUN, RepeatRound, Run
from models.units import DAY, HOUR

AT = 1_774_700_000_000
REST = WaitStep("rest", 2 * DAY)
REPEAT = RepeatStep("weekly", every=DAY, times=3, steps=(SendStep("hint", "hint"),))


def _journey(*steps: JourneyStep, **more: str) -> Journey:
    enter, late = Entry(on=EventTrigger(EventMatch("Start"))), Exit(name="late", after=30 * DAY)
    return Journey(name="one", enter=enter, exits=(late,), steps=steps, moved_to=tuple(more.items()))


def _moved(run: Run, old: Journey, new: Journey, at: int) -> Run:
    target = MoveTarget(new, version_of(new), RunClauses(new))
    return moved(run, old, target, at, HOUR, UTC).run


def _twice(first: Journey, second: Journey) -> Run:
    old = _journey(REST)
    run = Run("a", "one", version_of(old), AT, key="", entry={}, place=(0,), arrived_at=AT, until=AT + REST.duration)
    once = _moved(run, old, first, AT + HOUR)
    assert (once.arrived_at, AT + HOUR < once.until <= AT + 2 * HOUR + 1) == (NOT_BEGUN, True)
    return _moved(once, first, second, AT + HOUR + 1)


def test_a_repeat_that_has_not_begun_begins_with_its_first_round() -> None:
    first = _journey(WaitStep("pause", HOUR), REPEAT, rest="weekly")
    second = _journey(WaitStep("pause", HOUR), RepeatStep("weekly", every=HOUR, times=2, steps=REPEAT.steps))
    run = _twice(first, second)
    assert (run.place, run.arrived_at, run.rounds) == ((1,), NOT_BEGUN, ())
    assert run.until <= AT + 2 * HOUR + 1


def test_a_step_that_a_second_move_inserts_before_it_never_runs() -> None:
    first = _journey(SendStep("hint", "hint"), rest="hint")
    second = _journey(SendStep("hello", "hello"), SendStep("hint", "hint"))
    run = _twice(first, second)
    assert (run.place, run.arrived_at) == ((1,), NOT_BEGUN)


def test_a_round_that_has_begun_keeps_its_number() -> None:
    old, new = _journey(REPEAT), _journey(WaitStep("pause", HOUR), REPEAT)
    begun = (RepeatRound("weekly", 1, AT),)
    run = Run(
        "a", "one", version_of(old), AT, key="", entry={}, place=(0,), arrived_at=AT, until=AT + DAY, rounds=begun
    )
    assert _moved(run, old, new, AT + HOUR).rounds == begun
