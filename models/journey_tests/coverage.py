"""The steps and arms of journeys that no test has reached."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from models.configuration.journeys.definition import ExperimentStep, Journey
from models.configuration.journeys.parts import steps_with_paths
from models.configuration.journeys.versions import Place, places_of


def unreached(journey: Journey, reached: Collection[tuple[str, Place]]) -> Iterator[str]:
    """Yield the steps and arms of a journey to which no run has come, in words.

    Parameters
    ----------
    journey
        The journey.
    reached
        The places to which runs have come, by journey.
    """
    paths = [path for path, _ in steps_with_paths(journey.steps, "steps")]
    for path, (place, step) in zip(paths, places_of(journey.steps), strict=True):
        name = getattr(step, "id", None)
        if (journey.name, place) not in reached:
            yield f"step {name}" if name else path
        if isinstance(step, ExperimentStep):
            for i, arm in enumerate(step.arms):
                if (journey.name, (*place, i, 0)) not in reached:
                    yield f"arm {arm.name} of {step.id}"
