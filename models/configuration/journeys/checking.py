"""Check a journey against the rest of the configuration: templates, segments and stages that it names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from models.conditions.clauses import AllOf, AnyOf, Condition, Leaf, NoneOf, ValueClause
from models.configuration import stages
from models.configuration.journeys.definition import (
    BranchStep,
    CallStep,
    Journey,
    RepeatStep,
    SendStep,
    StageTrigger,
)
from models.configuration.journeys.versions import places_of
from models.configuration.sending import require_template
from models.configuration.templates import Template
from models.errors import NOT_YET, InvalidConfiguration
from models.lifecycle.definition import Lifecycle


def check_journeys(
    journeys: Sequence[Journey],
    rules: Collection[str],
    templates: Mapping[str, Template],
    lifecycle: Lifecycle | None,
) -> None:
    """Check that everything exists that journeys name, and that no rule has their names.

    Parameters
    ----------
    journeys
        The journeys.
    rules
        Names of the rules.
    templates
        Templates by name.
    lifecycle
        The lifecycle; ``None`` without one.

    Raises
    ------
    InvalidConfiguration
        A template is missing or does not fit its channel, there is no such stage, or a name is taken.
    """
    for i, journey in enumerate(journeys):
        if journey.name in rules:
            raise InvalidConfiguration(f"journeys[{i}].name", journey.name, "a name that no rule has")
        _check_journey(journey, f"journeys[{i}]", templates, lifecycle)


def _check_journey(journey: Journey, path: str, templates: Mapping[str, Template], lifecycle: Lifecycle | None) -> None:
    _refuse_unavailable(journey, path)
    for _, step in places_of(journey.steps):
        if isinstance(step, SendStep):
            place = f"{path}: the step {step.id}: send"
            require_template(templates, step.template, place, step.channels, journey.category)
    on = journey.enter.on
    if isinstance(on, StageTrigger):
        stages.require_stage(on.stage, lifecycle, f"{path}.enter.on.stage")
    for condition in conditions_of(journey):
        for leaf in leaves_of(condition):
            if isinstance(leaf, ValueClause) and leaf.subject == "lifecycle" and leaf.comparison is not None:
                for name in leaf.comparison.among:
                    stages.require_stage(name, lifecycle, f"{path}: lifecycle")


def conditions_of(journey: Journey) -> Iterator[Condition]:
    """Yield the conditions of a journey: those of the entry, the exits, the branches and the repetitions."""
    if journey.enter.condition is not None:
        yield journey.enter.condition
    for one in journey.exits:
        if one.when is not None:
            yield one.when
    for _, step in places_of(journey.steps):
        if isinstance(step, BranchStep):
            yield from (case.condition for case in step.cases if case.condition is not None)
        elif isinstance(step, RepeatStep) and step.until is not None:
            yield step.until


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Yield the clauses of a condition."""
    if isinstance(condition, AllOf | AnyOf | NoneOf):
        for inner in condition.of:
            yield from leaves_of(inner)
    else:
        yield condition


def _refuse_unavailable(journey: Journey, path: str) -> None:
    """Refuse what the language has, but the fold does not do yet."""
    for _, step in places_of(journey.steps):
        if isinstance(step, CallStep):
            raise InvalidConfiguration(f"{path}: the step {step.id}: call", step.webhook, NOT_YET)
        if isinstance(step, SendStep) and step.best_within:
            raise InvalidConfiguration(f"{path}: the step {step.id}: best_time", "within", NOT_YET)
