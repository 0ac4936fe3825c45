"""Advance a user through the stages of a lifecycle.

The conditions of all moves are *watched conditions* of the program that also evaluates the segments. So one index, one
timer, one record of truths and one explanation serve both. A watched condition has no members, because a move needs
only the truth at its step. A membership for each move would cost every user 15 bytes a move.

The stored stage says which conditions are read. After each step, no move out of the stage is true. Therefore a step can
only move a user if it has touched a condition of a move out of the present stage. When a user enters a stage, all moves
out of it are tried at once, because conditions that were touched before may hold. Each of several moves in a step is
made and reported alone, so no user jumps between stages without a stated move. A stage that the user has left in
the step is not entered again in it. So a step ends, even if two moves in opposite directions hold at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from models.conditions.clauses import Condition
from models.conditions.truth import Truth
from models.conditions.writing import canonical
from models.lifecycle.definition import Lifecycle


class StageMove(NamedTuple):
    """A user's move from one stage to another.

    Attributes
    ----------
    origin, target
        Names of the stages.
    condition
        Index of the condition that holds, among ``StageMachine.conditions``.
    """

    origin: str
    target: str
    condition: int


class _Exit(NamedTuple):
    target: str
    condition: int


class StageMachine:
    """A lifecycle, compiled.

    Parameters
    ----------
    lifecycle
        Its stages and moves.

    Attributes
    ----------
    stages
        Names of the stages.
    initial
        The stage of a user without a stored one.
    conditions
        The different conditions of all moves, to be watched by a ``ConditionProgram``.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.stages = lifecycle.stages
        self.initial = lifecycle.stages[0]
        indexes: dict[bytes, int] = {}
        conditions: list[Condition] = []
        exits: dict[str, list[_Exit]] = {stage: [] for stage in lifecycle.stages}
        for move in lifecycle.moves:
            form = canonical(move.when)
            if form not in indexes:
                indexes[form] = len(conditions)
                conditions.append(move.when)
            exits[move.origin].append(_Exit(move.target, indexes[form]))
        self.conditions = tuple(conditions)
        self._exits = {stage: tuple(moves) for stage, moves in exits.items()}
        self._read = {stage: frozenset(move.condition for move in moves) for stage, moves in exits.items()}

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"StageMachine({len(self.stages)} stages, {len(self.conditions)} conditions)"

    def stage(self, stored: str) -> str:
        """Return the stage of a user; the first one if none is stored, or if it no longer exists."""
        return stored if stored in self._exits else self.initial

    def is_affected(self, stage: str, watched: Collection[int]) -> bool:
        """Return whether conditions whose truth may have changed belong to moves out of a stage."""
        return not self._read[stage].isdisjoint(watched)

    def reads(self, stage: str) -> frozenset[int]:
        """Return the indexes of the conditions of the moves out of a stage."""
        return self._read[stage]

    def advance(
        self, stage: str, truth: Callable[[int], Truth], without: Collection[str] = frozenset()
    ) -> StageMove | None:
        """Return the next move of a user; ``None`` without one.

        Parameters
        ----------
        stage
            The present stage.
        truth
            Return the truth of one of the conditions. A move needs one that is true; unknown is not enough.
        without
            Stages that are not entered.

        Examples
        --------
        >>> from models.conditions.parsing import parse_condition
        >>> from models.lifecycle.definition import LifecycleMove
        >>> bought = parse_condition({"event": "purchase", "within": "ever"}, "when")
        >>> machine = StageMachine(Lifecycle(("visitor", "customer"), (LifecycleMove("visitor", "customer", bought),)))
        >>> machine.advance("visitor", lambda index: True)
        StageMove(origin='visitor', target='customer', condition=0)
        """
        for target, condition in self._exits[stage]:
            if target not in without and truth(condition) is True:
                return StageMove(stage, target, condition)
        return None

    def moves(self, stage: str, truth: Callable[[int], Truth]) -> Iterator[StageMove]:
        """Yield the moves of a user in one step, none into a stage that the user has left in it."""
        left: set[str] = set()
        while (move := self.advance(stage, truth, left)) is not None:
            left.add(stage)
            stage = move.target
            yield move
