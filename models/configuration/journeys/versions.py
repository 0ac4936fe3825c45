"""The version of a journey: the hash of its structure. And the places of its steps, by which runs are moved."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from models.configuration.journeys.definition import (
    BranchStep,
    ExperimentStep,
    Journey,
    JourneyStep,
    RepeatStep,
    WaitForStep,
)

Steps: TypeAlias = tuple[JourneyStep, ...]
Place: TypeAlias = tuple[int, ...]
"""A path to a step: the index of a step, that of a list within it, that of a step there, and so on."""

VERSION_BYTES = 8
"""Length of a version, bytes."""

_encoder = msgspec.json.Encoder(order="sorted")


def version_of(journey: Journey) -> str:
    """Return the version of a journey as 16 hexadecimal digits.

    Equal structures have equal versions. The texts of templates are not a part of it. ``moved_to`` is a part, because
    runs that have not followed an order yet read it from the version to which they move.

    Examples
    --------
    >>> from models.configuration.journeys.parsing import parse_journey
    >>> plain = {"name": "a", "enter": {"on": {"stage": "new"}}, "exit": [{"after": "1d", "as": "late"}],
    ...          "steps": [{"id": "pause", "wait": "1h"}]}
    >>> one, same = parse_journey(plain, ""), parse_journey({**plain, "purpose": "marketing"}, "")
    >>> version_of(one) == version_of(same), version_of(one) == version_of(parse_journey({**plain, "name": "b"}, ""))
    (True, False)
    """
    return blake2b(_encoder.encode(journey), digest_size=VERSION_BYTES).hexdigest()


def blocks_of(step: JourneyStep) -> tuple[Steps, ...]:
    """Return the lists of steps within a step, in the order by which a place counts them."""
    match step:
        case WaitForStep():
            return (step.then, step.otherwise)
        case BranchStep():
            return tuple(case.steps for case in step.cases)
        case ExperimentStep():
            return tuple(arm.steps for arm in step.arms)
        case RepeatStep():
            return (step.steps,)
    return ()


def places_of(
    steps: tuple[JourneyStep, ...], above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], JourneyStep]]:
    """Yield every step with its place, each before the steps within it."""
    for index, step in enumerate(steps):
        place = (*above, index)
        yield place, step
        for block, inner in enumerate(blocks_of(step)):
            yield from places_of(inner, (*place, block))


def step_at(steps: Steps, place: Place) -> JourneyStep | None:
    """Return the step at a place; ``None`` for the end of a list.

    Raises
    ------
    IndexError
        There is no such place.
    """
    for level in range(0, len(place) - 1, 2):
        steps = blocks_of(steps[place[level]])[place[level + 1]]
    if place[-1] > len(steps):
        raise IndexError(place)
    return steps[place[-1]] if place[-1] < len(steps) else None


def find_step(steps: Steps, name: str) -> tuple[Place, JourneyStep] | None:
    """Return the step of an id, with its place; ``None`` if there is none."""
    found = ((place, step) for place, step in places_of(steps) if getattr(step, "id", "") == name)
    return next(found, None)
