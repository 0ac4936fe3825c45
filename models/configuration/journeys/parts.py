"""The parts of a journey with their places in the file, for errors and findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from models.conditions.clauses import Condition
from models.configuration.journeys.definition import (
    BranchCase,
    BranchStep,
    EventMatch,
    EventTrigger,
    ExperimentStep,
    Journey,
    JourneyStep,
    RepeatStep,
    WaitForStep,
)


class PlacedStep(NamedTuple):
    """A step, and its place in the file, such as ``journeys[0].steps[1].then[0]``."""

    path: str
    step: JourneyStep


class PlacedCondition(NamedTuple):
    """A condition, and its place in the file."""

    path: str
    condition: Condition


class PlacedMatch(NamedTuple):
    """An event that a part of a journey names, the place of its ``where``, and the place of its name."""

    path: str
    match: EventMatch

    @property
    def name_path(self) -> str:
        """The place of the event's name."""
        return f"{self.path}.event"


def steps_with_paths(steps: tuple[JourneyStep, ...], path: str) -> Iterator[PlacedStep]:
    """Yield all steps with their places, each before the steps within it; ``path`` is the place of the list."""
    for i, step in enumerate(steps):
        place = f"{path}[{i}]"
        yield PlacedStep(place, step)
        match step:
            case WaitForStep():
                yield from steps_with_paths(step.then, f"{place}.then")
                yield from steps_with_paths(step.otherwise, f"{place}.otherwise")
            case BranchStep(_, cases):
                for number, case in enumerate(cases):
                    yield from steps_with_paths(case.steps, f"{place}.branch[{number}].{_name_of(case)}")
            case ExperimentStep():
                for arm in step.arms:
                    yield from steps_with_paths(arm.steps, f"{place}.arms.{arm.name}.do")
            case RepeatStep():
                yield from steps_with_paths(step.steps, f"{place}.do")


def conditions_with_paths(journey: Journey, path: str) -> Iterator[PlacedCondition]:
    """Yield the conditions of a journey: those of the entry, the exits, the branches and the repetitions."""
    if journey.enter.condition is not None:
        yield PlacedCondition(f"{path}.enter.if", journey.enter.condition)
    for i, one in enumerate(journey.exits):
        if one.when is not None:
            yield PlacedCondition(f"{path}.exit[{i}].when", one.when)
    for place, step in steps_with_paths(journey.steps, f"{path}.steps"):
        if isinstance(step, BranchStep):
            for i, case in enumerate(step.cases):
                if case.condition is not None:
                    yield PlacedCondition(f"{place}.branch[{i}].if", case.condition)
        elif isinstance(step, RepeatStep) and step.until is not None:
            yield PlacedCondition(f"{place}.repeat.until", step.until)


def matches_with_paths(journey: Journey, path: str) -> Iterator[PlacedMatch]:
    """Yield the events that the entry, the exits, the goal and the waits of a journey name."""
    if isinstance(journey.enter.on, EventTrigger):
        yield PlacedMatch(f"{path}.enter.on", journey.enter.on.match)
    for i, one in enumerate(journey.exits):
        if one.on is not None:
            yield PlacedMatch(f"{path}.exit[{i}].on", one.on)
    if journey.goal is not None:
        yield PlacedMatch(f"{path}.goal", journey.goal.on)
    for place, step in steps_with_paths(journey.steps, f"{path}.steps"):
        if isinstance(step, WaitForStep):
            yield PlacedMatch(f"{place}.wait_for", step.on)


def _name_of(case: BranchCase) -> str:
    return "else" if case.condition is None else "do"
