"""Advance one run through the steps of its journey.

A run stands at a step. It arrives there, and then the step is done at once, or it waits. :func:`advance` does steps
until one waits or the journey ends. There is no way back to a step except for ``repeat``, whose rounds are some time
apart. So only finitely many steps are done at one instant.

What a step asks or does outside of the run goes through a :class:`RunWorld`: conditions, the user's zone, messages,
marks and calls.
"""

from __future__ import annotations

from datetime import tzinfo
from hashlib import blake2b
from typing import Literal, NamedTuple, Protocol, TypeAlias

from msgspec.structs import replace

from models.conditions.clauses import Condition
from models.conditions.truth import Truth
from models.configuration.journeys.definition import (
    BranchStep,
    CallStep,
    ExperimentStep,
    Journey,
    JourneyStep,
    RepeatStep,
    SendStep,
    SetStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.configuration.journeys.versions import Place, step_at
from models.engage.journeys.local_times import next_local_time
from models.engage.journeys.splitting import arm_of
from models.places import zones
from models.profile.runs import MAX_OUTCOMES, RepeatRound, Run

COMPLETED = "completed"
"""The outcome of a run that has reached the end of its steps."""
STEP_DROPPED = "message_dropped"
"""The outcome of a run that ends because a message was dropped."""
CALL_FAILED = "call_failed"
"""The outcome of a run that ends because a call has failed."""
HELD_OUT = "held_out"
"""The outcome of a step that a run of the control group does not do."""

SendOutcome: TypeAlias = Literal["sent", "deferred", "dropped"]


class SendVerdict(NamedTuple):
    """The planner's decision about a message.

    Attributes
    ----------
    outcome
        Whether it is sent, waits, or is dropped.
    reason
        Why it waits or is dropped.
    """

    outcome: SendOutcome
    reason: str = ""


class RunWorld(Protocol):
    """The outside of a run: answers to its questions, and its effects, for one user at one instant."""

    @property
    def user(self) -> str:
        """Id of the user."""

    @property
    def zone(self) -> tzinfo:
        """Time zone of the user."""

    def reach(self, run: Run) -> None:
        """Record that a run has come to a place, for tests of journeys, which report the places that none reaches."""

    def truth(self, condition: Condition, run: Run) -> Truth:
        """Return the truth of a condition for a run."""

    def send(self, run: Run, step: SendStep, key: str) -> SendVerdict:
        """Let the planner decide about a message; the key is the same whenever the same send is decided."""

    def call(self, run: Run, step: CallStep, key: str) -> None:
        """Call a webhook; its answer comes as an event."""

    def mark(self, run: Run, step: SetStep) -> None:
        """Set marks of the user."""


class Progress(NamedTuple):
    """The state of a run after some steps.

    Attributes
    ----------
    run
        The run.
    ended
        Name of the outcome if the run has ended, otherwise empty.
    """

    run: Run
    ended: str = ""


class _Moved(NamedTuple):
    """A run that stands at the beginning of another step, or at the end of a list of steps."""

    run: Run


_Done: TypeAlias = _Moved | Progress


def advance(journey: Journey, run: Run, at: int, world: RunWorld) -> Progress:
    """Advance a run by all steps that can be done at an instant.

    Parameters
    ----------
    journey
        The journey, in the run's version.
    run
        The run. If its step waits, the wait is over when ``until`` is not after ``at``.
    at
        The instant, milliseconds: the time of an event, or the due time of a timer.
    world
        Everything outside of the run.
    """
    while True:
        world.reach(run)
        step = step_at(journey.steps, run.place)
        if step is None:
            done = _leave_list(journey, run, at, world)
        elif run.until:
            if run.until > at:
                return Progress(run)
            begins = run.arrived_at <= 0  # it was held or moved before the step
            done = _begin(step, replace(run, arrived_at=at), at, world) if begins else _end_wait(step, run, at, world)
        else:
            done = _begin(step, replace(run, arrived_at=at), at, world)
        if isinstance(done, Progress):
            return done
        run = done.run


def meet(journey: Journey, run: Run, step: WaitForStep) -> Run:
    """Return a run after the event that a step waits for: it goes on if it stands there, and remembers it otherwise.

    The caller then calls :func:`advance`.
    """
    awaits = is_awaited(journey, run, step)
    if step.is_since_entry:
        run = run if step.id in run.seen else replace(run, seen=(*run.seen, step.id))
    elif awaits and step.id in run.seen:
        run = _forgetting(run, step)
    return _into(run, 0).run if awaits else run


def meet_held(journey: Journey, run: Run, step: WaitForStep, at: int) -> Run:
    """Return a run of a paused journey after the event that a step waits for; it goes on when it is released."""
    if is_awaited(journey, run, step):
        run = replace(run, until=min(run.until, at))
    elif not step.is_since_entry:
        return run
    return run if step.id in run.seen else replace(run, seen=(*run.seen, step.id))


def _forgetting(run: Run, step: WaitForStep) -> Run:
    return replace(run, seen=tuple(name for name in run.seen if name != step.id))


def is_awaited(journey: Journey, run: Run, step: WaitForStep) -> bool:
    """Return whether a run stands at a step and waits for its event."""
    standing = step_at(journey.steps, run.place)
    return standing is not None and standing == step and bool(run.until) and run.arrived_at > 0


def answer(run: Run, step: CallStep, *, is_success: bool, outcome: str) -> Progress:
    """Return a run after the answer to its call; the caller then calls :func:`advance` unless the run has ended."""
    done = _after_call(run, step, outcome, is_success=is_success)
    return done if isinstance(done, Progress) else Progress(done.run)


def send_key(run: Run, step: str) -> str:
    """Return the key of a send or call: a hash of the run, the step and the rounds around it, 16 hexadecimal digits."""
    return blake2b("\0".join((run.id, step, *_rounds(run))).encode(), digest_size=8).hexdigest()


# --- steps -----------------------------------------------------------------------------------------------------------


def _begin(step: JourneyStep, run: Run, at: int, world: RunWorld) -> _Done:
    match step:
        case SendStep():
            return _send(step, run, at, world)
        case WaitStep(_, duration):
            return Progress(replace(run, until=at + duration))
        case WaitUntilStep(_, local):
            zone = zones.zone(local.zone) if local.zone else world.zone
            until = next_local_time(local, at, zone)
            return _next(run) if until == at else Progress(replace(run, until=until))
        case WaitForStep():
            if step.is_since_entry and step.id in run.seen:
                return _into(run, 0)
            return Progress(replace(run, until=at + step.at_most))
        case BranchStep(_, cases):
            for index, case in enumerate(cases):
                if case.condition is None or world.truth(case.condition, run) is True:
                    return _into(run, index)
            return _next(run)
        case ExperimentStep(_, experiment, arms):
            return _into(run, arm_of(experiment, arms, world.user))
        case RepeatStep():
            return _begin_round(step, run, RepeatRound(step.id, 0, at), world)
        case SetStep(marks):
            if run.is_held_out:
                return _next(replace(run, marks={**run.marks, **dict(marks)}))
            world.mark(run, step)
            return _next(run)
        case CallStep():
            return _call(step, run, at, world)


def _end_wait(step: JourneyStep, run: Run, at: int, world: RunWorld) -> _Done:
    match step:
        case WaitForStep():
            if step.id not in run.seen:
                return _into(run, 1)
            # The event came while the run was held. A step that sees only later events forgets it again.
            return _into(run if step.is_since_entry else _forgetting(run, step), 0)
        case SendStep():  # a cap was reached
            return _send(step, run, at, world)
        case RepeatStep():
            last = run.rounds[-1]
            rounds = replace(run, rounds=run.rounds[:-1])
            return _begin_round(step, rounds, RepeatRound(step.id, last.number + 1, at), world)
        case CallStep():
            return _after_call(run, step, "no_answer", is_success=False)
    return _next(run)


def _send(step: SendStep, run: Run, at: int, world: RunWorld) -> _Done:
    if run.is_held_out:
        return _next(_noted(run, step.id, HELD_OUT))
    result = world.send(run, step, send_key(run, step.id))
    run = _noted(run, step.id, f"{result.outcome}:{result.reason}" if result.reason else result.outcome)
    if result.outcome != "dropped":
        return _next(replace(run, first_sent_at=run.first_sent_at or at))
    if result.reason == "capped":
        if step.retry_capped:
            return Progress(replace(run, until=at + step.retry_capped))
        return Progress(run, STEP_DROPPED) if step.exits_capped else _next(run)
    return Progress(run, STEP_DROPPED) if step.exits_dropped else _next(run)


def _call(step: CallStep, run: Run, at: int, world: RunWorld) -> _Done:
    if run.is_held_out:
        return _next(_noted(run, step.id, HELD_OUT))
    world.call(run, step, send_key(run, step.id))
    return Progress(replace(run, until=at + step.at_most))


def _after_call(run: Run, step: CallStep, outcome: str, *, is_success: bool) -> _Done:
    run = _noted(run, step.id, outcome)
    return Progress(run, CALL_FAILED) if step.exits_failed and not is_success else _next(run)


def _begin_round(step: RepeatStep, run: Run, number: RepeatRound, world: RunWorld) -> _Done:
    """Begin a round, or go on behind the step if there is no further one; ``run`` is not in a round of the step."""
    if number.number >= step.times or (step.until is not None and world.truth(step.until, run) is True):
        return _next(run)
    return _into(replace(run, rounds=(*run.rounds, number)), 0)


# --- places ----------------------------------------------------------------------------------------------------------


def _next(run: Run) -> _Moved:
    return _to(run, (*run.place[:-1], run.place[-1] + 1))


def _into(run: Run, block: int) -> _Moved:
    return _to(run, (*run.place, block, 0))


def _to(run: Run, place: Place) -> _Moved:
    return _Moved(replace(run, place=place, until=0))


def _leave_list(journey: Journey, run: Run, at: int, world: RunWorld) -> _Done:
    """Continue behind the step whose list is finished; of a ``repeat``, wait for its next round."""
    if len(run.place) == 1:
        return Progress(run, COMPLETED)
    run = replace(run, place=run.place[:-2], until=0)
    step = step_at(journey.steps, run.place)
    if not isinstance(step, RepeatStep):
        return _next(run)
    last = run.rounds[-1]
    if last.number + 1 >= step.times:
        return _next(replace(run, rounds=run.rounds[:-1]))
    begins = last.began_at + step.every
    if begins > at:
        return Progress(replace(run, until=begins, arrived_at=at))
    return _begin_round(step, replace(run, rounds=run.rounds[:-1]), RepeatRound(step.id, last.number + 1, at), world)


def _noted(run: Run, step: str, outcome: str) -> Run:
    """Remember the outcome of a step in its round."""
    outcomes = {**run.outcomes, ".".join((step, *_rounds(run))): outcome}
    while len(outcomes) > MAX_OUTCOMES:
        del outcomes[next(iter(outcomes))]
    return replace(run, outcomes=outcomes)


def _rounds(run: Run) -> tuple[str, ...]:
    return tuple(str(one.number) for one in run.rounds)
