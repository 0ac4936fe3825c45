"""What a report has to know of a journey or a campaign besides its counts: its goal, and the arms of its steps."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from models.configuration.journeys.definition import ExperimentStep, Goal, Journey, JourneyStep, SendStep
from models.configuration.journeys.versions import blocks_of


class GoalOutline(msgspec.Struct, frozen=True, omit_defaults=True):
    """A goal.

    Attributes
    ----------
    is_of_sent
        Whether its time begins with the message.
    is_repeated
        Whether a run or user may convert several times.
    value
        Property that is the value of a conversion; empty for none.
    """

    is_of_sent: bool = False
    is_repeated: bool = False
    value: str = ""


class JourneyOutline(msgspec.Struct, frozen=True, omit_defaults=True):
    """A journey.

    Attributes
    ----------
    goal
        Its goal; ``None`` without one.
    steps
        Arm of each ``send`` step by its id, in the order of the file: ``experiment: arm``, or empty.
    enters_again
        Whether a user may have several runs.
    """

    goal: GoalOutline | None = None
    steps: dict[str, str] = {}
    enters_again: bool = False


def outline_of(journey: Journey) -> JourneyOutline:
    """Return the outline of a journey."""
    enter = journey.enter
    return JourneyOutline(
        goal_of(journey.goal), dict(_steps(journey.steps, "")), bool(enter.key) or enter.again != "never"
    )


def goal_of(goal: Goal | None) -> GoalOutline | None:
    """Return the outline of a goal; ``None`` for none."""
    return None if goal is None else GoalOutline(goal.is_of_sent, goal.is_repeated, goal.value)


def _steps(steps: tuple[JourneyStep, ...], arm: str) -> Iterator[tuple[str, str]]:
    """Yield the ``send`` steps with the innermost arm around each."""
    for step in steps:
        if isinstance(step, SendStep):
            yield step.id, arm
        for index, inner in enumerate(blocks_of(step)):
            inside = f"{step.experiment}: {step.arms[index].name}" if isinstance(step, ExperimentStep) else arm
            yield from _steps(inner, inside)
