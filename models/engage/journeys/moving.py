"""Move a run to another version of its journey, by the id of the step at which it waits."""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple

from msgspec.structs import replace

from models.conditions.writing import digest
from models.configuration.journeys.definition import (
    Journey,
    JourneyStep,
    RepeatStep,
    SendStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.configuration.journeys.versions import Place, find_step, places_of, step_at
from models.engage.journeys.clauses import RunClauses
from models.engage.journeys.local_times import next_local_time
from models.engage.journeys.machine import Progress
from models.places import zones
from models.profile.runs import NOT_BEGUN, RepeatRound, Run

STEP_REMOVED = "step_removed"
"""The outcome of a run that waited in a step that the version to which it moves does not have."""

_WHOLE = 2**64


class MoveTarget(NamedTuple):
    """The version to which a run moves.

    Attributes
    ----------
    journey, version
        The journey, and its version.
    clauses
        Its clauses that read the entry.
    """

    journey: Journey
    version: str
    clauses: RunClauses


def moved(run: Run, old: Journey, target: MoveTarget, at: int, spread: int, zone: tzinfo) -> Progress:
    """Return a run in another version of its journey; it has ended if its step was removed.

    A wait keeps its start. A wait that would be over by now ends within ``spread``, but not later than before. Steps
    before the present one never run. A step that is of another kind now counts as removed.

    Parameters
    ----------
    run
        The run, which waits.
    old
        The version that it has walked.
    target
        The version that it walks from now on.
    at
        The instant of the move, milliseconds.
    spread
        Milliseconds over which waits end that would be over by now.
    zone
        Time zone of the user.
    """
    journey, standing = target.journey, step_at(old.steps, run.place)
    place: Place = (0,)
    step, until = None, run.until
    if not _is_before_first_step(run):
        name = getattr(standing, "id", "")
        goes_to = dict(journey.moved_to).get(name)
        found = find_step(journey.steps, goes_to or name)
        if standing is None or found is None or (goes_to is None and type(found[1]) is not type(standing)):
            return Progress(run, STEP_REMOVED)
        place, step = found
    seen = _still_seen(run, old, journey)
    arrived_at = run.arrived_at
    # After a move to a step of another kind, the step begins only when the run is released.
    begun = standing if run.arrived_at > 0 else None
    if step is not None:
        if begun is not None and type(step) is type(begun):
            until = _until(begun, step, run, zone)
        else:
            until, arrived_at = at, NOT_BEGUN
        if isinstance(step, WaitForStep) and step.id in seen:
            until = at
    is_held = bool(run.held_since)
    if until <= at:
        until = run.until if is_held else min(run.until, at + 1 + share(run.id, target.version, spread))
    return Progress(
        replace(
            run,
            version=target.version,
            place=place,
            arrived_at=arrived_at,
            until=until,
            rounds=_rounds(run, journey, place, at, begun),
            seen=seen,
            clauses=target.clauses.kept(run.clauses),
            held_since=run.held_since if until <= max(run.until, at) else 0,
        )
    )


def share(run: str, salt: str, spread: int) -> int:
    """Return a part of a time, always the same one for a run, milliseconds.

    Examples
    --------
    >>> [share(run, "", 1000) for run in ("a", "b", "c")]
    [948, 616, 144]
    """
    return digest(f"release:{salt}:{run}".encode()) * spread // _WHOLE


def _is_before_first_step(run: Run) -> bool:
    return run.place == (0,) and not run.arrived_at


def _until(standing: JourneyStep, step: JourneyStep, run: Run, zone: tzinfo) -> int:
    """Return the end of a run's wait in the new form of the step at which it stands."""
    if step == standing:
        return run.until
    match step:
        case WaitStep(_, duration):
            return run.arrived_at + duration
        case WaitUntilStep(_, local) if not isinstance(standing, WaitUntilStep) or standing.at != local:
            return next_local_time(local, run.arrived_at, zones.zone(local.zone) if local.zone else zone)
        case WaitForStep():
            return run.arrived_at + step.at_most
        case RepeatStep():
            return run.rounds[-1].began_at + step.every
        case SendStep() if isinstance(standing, SendStep):
            return run.until - standing.retry_capped + step.retry_capped
    return run.until


def _still_seen(run: Run, old: Journey, new: Journey) -> tuple[str, ...]:
    """Return the steps whose event has come, without those that wait for another event now."""
    before = {step.id: step for _, step in places_of(old.steps) if isinstance(step, WaitForStep)}
    after = {step.id: step for _, step in places_of(new.steps) if isinstance(step, WaitForStep)}
    kept = []
    for name in run.seen:
        one, other = before.get(name), after.get(name)
        if one is not None and other is not None and one.on == other.on:
            is_of_hold = one == step_at(old.steps, run.place) and bool(run.held_since)
            if (one.is_since_entry and other.is_since_entry) or is_of_hold:
                kept.append(name)
    return tuple(kept)


def _rounds(run: Run, journey: Journey, place: Place, at: int, standing: JourneyStep | None) -> tuple[RepeatRound, ...]:
    """Return the rounds of the ``repeat`` steps around a place; one that the run was not in begins with its first.

    A run that waits for the next round of a ``repeat`` keeps the number and the beginning of the one before.
    """
    known = {one.step: one for one in run.rounds}
    found = []
    for level in range(1, len(place), 2):
        around = step_at(journey.steps, place[:level])
        if isinstance(around, RepeatStep):
            found.append(known.get(around.id, RepeatRound(around.id, 0, at)))
    step = step_at(journey.steps, place)
    if isinstance(step, RepeatStep) and isinstance(standing, RepeatStep):
        found.append(replace(run.rounds[-1], step=step.id))
    return tuple(found)
