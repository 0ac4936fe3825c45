"""Read the section ``lifecycle``, and check the stages that conditions name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentRule, ValueClause
from models.conditions.ordering import references
from models.conditions.parsing import parse_condition
from models.conditions.program import ConditionProgram
from models.configuration.definition import LifecycleDefinition, StageMoveDefinition
from models.errors import InvalidConfiguration
from models.lifecycle.choosing import StatedMove, lifecycle_of
from models.lifecycle.definition import STAGES, Lifecycle

NEVER = "never"
"""The condition of a default move that is removed."""


def read_lifecycle(written: LifecycleDefinition, path: str = "lifecycle") -> Lifecycle:
    """Return the compiled lifecycle.

    Raises
    ------
    InvalidConfiguration
        A stage does not exist, a move is stated twice or leads nowhere, or a condition cannot be used for a move.
    """
    stages = tuple(written.stages or STAGES)
    if written.stages is not None:
        if written.defaults != "none":
            raise InvalidConfiguration(f"{path}.stages", list(stages), "stages of your own only with `defaults: none`")
        if len(set(stages)) < len(stages) or len(stages) < 2:
            raise InvalidConfiguration(f"{path}.stages", list(stages), "at least two different names")
    stated: list[StatedMove] = []
    for i, move in enumerate(written.moves):
        stated += _moves(move, f"{path}.moves[{i}]", stages, {one[:2] for one in stated})
    found = lifecycle_of(written.defaults, stated, stages)
    removed = next(
        (one for one in stated if one[2] is None and one[:2] not in _pairs(lifecycle_of(written.defaults))), None
    )
    if removed is not None:
        origin, target, _ = removed
        known = [other for one, other in sorted(_pairs(lifecycle_of(written.defaults))) if one == origin]
        there = f"to {', '.join(known)}" if known else "none"
        allowed = f"a default move to remove; from {origin} there is {there}"
        raise InvalidConfiguration(f"{path}.moves", f"never from {origin} to {target}", allowed)
    if not found.moves:
        raise InvalidConfiguration(f"{path}.moves", [], "at least one move")
    return found


def check_stages(segments: Sequence[SegmentRule], lifecycle: Lifecycle | None) -> None:
    """Check that the conditions of segments name existing stages.

    Raises
    ------
    InvalidConfiguration
        A condition names another stage, or there is no lifecycle.
    """
    for i, segment in enumerate(segments):
        for clause in _lifecycle_clauses(segment.when):
            path = f"segments[{i}].when"
            if lifecycle is None:
                raise InvalidConfiguration(path, "lifecycle", "no lifecycle without the section `lifecycle`")
            comparison = clause.comparison
            for name in comparison.among if comparison is not None else ():
                require_stage(name, lifecycle, f"{path}.lifecycle")


def require_stage(name: object, lifecycle: Lifecycle | None, path: str) -> None:
    """Check that a name is a stage.

    Raises
    ------
    InvalidConfiguration
        It is not, or there is no lifecycle.
    """
    if lifecycle is None:
        raise InvalidConfiguration(path, name, "no stage without the section `lifecycle`")
    if name not in lifecycle.stages:
        raise InvalidConfiguration(path, name, f"one of {', '.join(lifecycle.stages)}")


def _moves(
    written: StageMoveDefinition, path: str, stages: Sequence[str], known: set[tuple[str, str]]
) -> Iterator[StatedMove]:
    origins = [written.origin] if isinstance(written.origin, str) else written.origin
    if not origins:
        raise InvalidConfiguration(f"{path}.from", origins, f"at least one of {', '.join(stages)}")
    condition = None if written.when == NEVER else _condition(written.when, f"{path}.when")
    for place, name in (*((f"{path}.from", origin) for origin in origins), (f"{path}.to", written.target)):
        if name not in stages:
            raise InvalidConfiguration(place, name, f"one of {', '.join(stages)}")
    for origin in origins:
        pair = (origin, written.target)
        if origin == written.target:
            raise InvalidConfiguration(f"{path}.to", origin, "another stage than `from`")
        if pair in known:
            raise InvalidConfiguration(path, f"from {origin} to {written.target}", "a move that is not stated yet")
        known.add(pair)
        yield *pair, condition


def _condition(written: object, path: str) -> Condition:
    """Read the condition of a move. It is decided before segments and marks are, so it cannot read them."""
    condition = parse_condition(written, path)
    if references(condition):
        found = ", ".join(sorted(references(condition)))
        raise InvalidConfiguration(path, f"segment {found}", "no segment: stages are decided before segments")
    for clause in _values(condition):
        if clause.subject in ("lifecycle", "mark"):
            raise InvalidConfiguration(path, clause.subject, f"no {clause.subject}: it may follow from the stage")
    try:
        ConditionProgram(watched=(condition,))
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{path}.{error.path}", error.found, error.allowed) from None
    return condition


def _pairs(lifecycle: Lifecycle) -> set[tuple[str, str]]:
    return {(move.origin, move.target) for move in lifecycle.moves}


def _values(condition: Condition) -> Iterator[ValueClause]:
    if isinstance(condition, AllOf | AnyOf | NoneOf):
        for inner in condition.of:
            yield from _values(inner)
    elif isinstance(condition, ValueClause):
        yield condition


def _lifecycle_clauses(condition: Condition) -> Iterator[ValueClause]:
    return (clause for clause in _values(condition) if clause.subject == "lifecycle")
