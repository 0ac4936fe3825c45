"""Checks of journeys, as of segments: what their conditions and events name, and one line that sums each of them up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from models.conditions.checking import ConditionChecker, ConditionFinding
from models.conditions.clauses import AbsentClause, Condition, SegmentClause
from models.conditions.open_absences import open_absences
from models.conditions.writing import written_duration
from models.configuration.compiled import Configuration
from models.configuration.journeys.definition import (
    EventTrigger,
    Journey,
    ScheduleTrigger,
    SegmentTrigger,
    SendStep,
    SignalTrigger,
    StageTrigger,
)
from models.configuration.journeys.parts import conditions_with_paths, matches_with_paths
from models.configuration.journeys.versions import places_of
from models.counting import counted


def journey_findings(configuration: Configuration, checker: ConditionChecker) -> Iterator[ConditionFinding]:
    """Yield the possible mistakes in the conditions and events of journeys, in the sequence of the file.

    Parameters
    ----------
    configuration
        The configuration.
    checker
        The search for mistakes.
    """
    segments = {one.name: (f"segments[{i}].when", one.when) for i, one in enumerate(configuration.segments)}
    for i, journey in enumerate(configuration.journeys):
        path = f"journeys[{i}]"
        if isinstance(journey.enter.on, SegmentTrigger | ScheduleTrigger):
            key = "segment" if isinstance(journey.enter.on, SegmentTrigger) else "of"
            yield from checker.condition(SegmentClause(journey.enter.on.segment), f"{path}.enter.on.{key}")
        for match in matches_with_paths(journey, path):
            yield from checker.event(match.match.event, match.match.where, match.path, match.name_path)
        yield from _properties(journey, path, checker)
        for condition in conditions_with_paths(journey, path):
            yield from checker.condition(condition.condition, condition.path)
        yield from _open_entries(journey, path, segments)


def _properties(journey: Journey, path: str, checker: ConditionChecker) -> Iterator[ConditionFinding]:
    """Yield the properties that a run would keep, or take as its value, although the events do not have them."""
    on, enter, goal = journey.enter.on, journey.enter, journey.goal
    if isinstance(on, EventTrigger):
        names = [(enter.key, f"{path}.enter.key")] if enter.key else []
        names += [(name, f"{path}.enter.keep[{i}]") for i, name in enumerate(enter.keep)]
        yield from checker.properties(on.match.event, names)
    if goal is not None and goal.value:
        yield from checker.properties(goal.on.event, [(goal.value, f"{path}.goal.value")])


def _open_entries(
    journey: Journey, path: str, segments: Mapping[str, tuple[str, Condition]]
) -> Iterator[ConditionFinding]:
    """Yield absences by which users who have been away for years would enter, too."""
    needed: list[tuple[str, Condition]] = []
    if journey.enter.condition is not None:
        needed.append((f"{path}.enter.if", journey.enter.condition))
    if isinstance(journey.enter.on, SegmentTrigger):
        needed.append((f"{path}.enter.on.segment", SegmentClause(journey.enter.on.segment)))
    for placed in open_absences(needed, segments):
        if isinstance(placed.clause, AbsentClause):
            event, longer = placed.clause.event, written_duration(2 * placed.clause.duration)
            says = (
                f"users enter the journey {journey.name} by an absence without an upper bound, so those who have been "
                f"away for years may enter, too; a bound is `not: {{absent: {event}, for: {longer}}}` beside it"
            )
            yield ConditionFinding(placed.path, "new_users", says)


def summary(journey: Journey) -> str:
    """Return a journey in one line: who enters, its steps, and its limit of time."""
    steps = [step for _, step in places_of(journey.steps)]
    messages = sum(isinstance(step, SendStep) for step in steps)
    return (
        f"{journey.name}: enters {_entry(journey)}; {counted(len(steps), 'step')}, {counted(messages, 'message')}; "
        f"ends within {written_duration(journey.longest)}"
    )


def _entry(journey: Journey) -> str:
    match journey.enter.on:
        case EventTrigger(match):
            return f"at the event {match.event!r}"
        case SegmentTrigger(name):
            return f"with the segment {name!r}"
        case StageTrigger(name):
            return f"with the stage {name!r}"
        case SignalTrigger(name):
            return f"at the signal {name}"
        case ScheduleTrigger(at, name):
            return f"at {at.minute // 60:02}:{at.minute % 60:02} local time, from the segment {name!r}"
