"""Choose the moves of a lifecycle: the defaults of a preset, changed by what a configuration states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from models.conditions.clauses import Condition
from models.conditions.parsing import parse_condition
from models.lifecycle.defaults import DEFAULTS, DefaultName
from models.lifecycle.definition import STAGES, Lifecycle, LifecycleMove

StatedMove = tuple[str, str, Condition | None]
"""Origin, target and condition of a stated move; without a condition, the default move is removed."""


@cache
def default_moves(name: DefaultName) -> tuple[LifecycleMove, ...]:
    """Return the default moves of a preset, compiled."""
    return tuple(
        LifecycleMove(origin, move.target, parse_condition(move.when, f"{name}.{move.target}"))
        for move in DEFAULTS[name]
        for origin in move.origins
    )


def lifecycle_of(
    defaults: DefaultName = "purchases", stated: Iterable[StatedMove] = (), stages: Sequence[str] = STAGES
) -> Lifecycle:
    """Return the lifecycle of a configuration.

    Parameters
    ----------
    defaults
        Name of the default moves.
    stated
        Moves that replace the defaults, each with another pair of stages. A move keeps the place of the default that it
        replaces. Moves between other pairs are tried before the defaults, in their own sequence.
    stages
        Names of the stages.

    Examples
    --------
    >>> moves = lifecycle_of("purchases", [("loyal", "engaged", None)]).moves
    >>> [move.target for move in moves if move.origin == "loyal"]
    ['at_risk']
    """
    wanted = {(origin, target): condition for origin, target, condition in stated}
    known = default_moves(defaults)
    pairs = {(move.origin, move.target) for move in known}
    added = [
        LifecycleMove(*pair, condition)
        for pair, condition in wanted.items()
        if condition is not None and pair not in pairs
    ]
    kept: list[LifecycleMove] = []
    for move in known:
        condition = wanted.get((move.origin, move.target), move.when)
        if condition is not None:
            kept.append(LifecycleMove(move.origin, move.target, condition))
    return Lifecycle(tuple(stages), (*added, *kept))
