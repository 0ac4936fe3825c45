"""Values that a test fixes: arms, the control group, scores. Everything else is the configuration as it is."""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import msgspec
from msgspec.structs import replace

from models.conditions.clauses import Scalar
from models.configuration.compiled import Configuration
from models.configuration.journeys.definition import (
    BranchStep,
    ExperimentStep,
    Journey,
    JourneyStep,
    RepeatStep,
    WaitForStep,
)
from models.journey_tests.parsing import Variant
from models.journey_tests.written import WrittenWorld
from models.learning.churn_scorer import ChurnWeights
from models.profile.features import FEATURES

_ALL = 2**64 - 1
"""A share that has every user."""


def world_of(world: WrittenWorld, variant: Variant) -> WrittenWorld:
    """Return the world of a variant: values of the matrix replace those of the test."""
    values: Mapping[str, Scalar] = dict(variant.values)
    arms = {**world.arms, **{name[5:]: str(value) for name, value in values.items() if name.startswith("arms.")}}
    scores = dict(world.scores)
    if "scores.churn" in values:
        scores["churn"] = float(values["scores.churn"])
    holdout = bool(values.get("holdout", world.holdout))
    return replace(world, arms=arms, scores=scores, holdout=holdout)


def pinned(configuration: Configuration, world: WrittenWorld) -> Configuration:
    """Return the configuration with the arms and the control group of a test."""
    return replace(configuration, journeys=tuple(_pinned(one, world) for one in configuration.journeys))


def churn_content(risk: float) -> bytes:
    """Return the content of a version of the churn model that gives every user the same risk."""
    nothing = (0.0,) * len(FEATURES)
    weights = ChurnWeights(
        features=tuple(FEATURES), mean=nothing, std=nothing, weights=nothing, intercept=log(risk / (1 - risk))
    )
    return msgspec.json.encode(weights)


def _pinned(journey: Journey, world: WrittenWorld) -> Journey:
    holdout = _ALL if world.holdout and journey.category == "marketing" else 0
    return replace(journey, holdout=holdout, steps=_steps(journey.steps, world.arms))


def _steps(steps: tuple[JourneyStep, ...], arms: Mapping[str, str]) -> tuple[JourneyStep, ...]:
    return tuple(_step(step, arms) for step in steps)


def _step(step: JourneyStep, arms: Mapping[str, str]) -> JourneyStep:
    match step:
        case WaitForStep():
            return replace(step, then=_steps(step.then, arms), otherwise=_steps(step.otherwise, arms))
        case BranchStep():
            return replace(step, cases=tuple(replace(case, steps=_steps(case.steps, arms)) for case in step.cases))
        case RepeatStep():
            return replace(step, steps=_steps(step.steps, arms))
        case ExperimentStep():
            wanted = arms.get(step.experiment)
            return replace(
                step,
                arms=tuple(
                    replace(
                        arm,
                        steps=_steps(arm.steps, arms),
                        weight=arm.weight if wanted is None else int(arm.name == wanted),
                    )
                    for arm in step.arms
                ),
            )
    return step
