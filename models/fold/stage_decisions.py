"""The lifecycle in the third pass: a step moves the user to another stage, before it decides the segments by rule.

All moves of a step are made before the segments are decided, so segments and rules see the last stage of the step. Each
move is a signal of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.conditions.evaluator import View
from models.conditions.periods import ALWAYS
from models.conditions.steps import ClauseStep
from models.conditions.writing import canonical
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.piece import Piece, Step
from models.fold.stages import StageCount
from models.lifecycle.machine import StageMachine, StageMove
from models.profile.ledger import Stage
from models.profile.signals import Signal


class StageDecisions:
    """The decisions of one piece about the stages of users.

    Parameters
    ----------
    piece
        The piece.
    conditions
        The conditions in use; they have a lifecycle.
    """

    def __init__(self, piece: Piece, conditions: ConditionsInUse) -> None:
        assert conditions.machine is not None
        self._piece = piece
        self._program = conditions.program
        self._machine: StageMachine = conditions.machine

    def __repr__(self) -> str:
        """Show the lifecycle."""
        return f"StageDecisions({self._machine!r})"

    def adopt(self, step: Step, found: ClauseStep, view: View) -> None:
        """Move the user silently, because the user comes to new conditions before the step."""
        stored = step.user.ledger.stage
        if step.is_unstaged:
            step.user.ledger.stage = stored = None
        name = self._machine.initial if stored is None else stored.name
        stage = self._machine.stage(name)
        if stage != name:  # the configuration has no such stage any more
            step.user.ledger.stage = None
            self._piece.stages.append(StageCount(name, stage, view.at, is_silent=True))
        self._move(step, found, view, is_silent=True)

    def decide(self, step: Step, found: ClauseStep, view: View) -> list[Signal]:
        """Move the user if a condition holds that the step may have changed, and return the signals."""
        moves = self._move(step, found, view, is_silent=step.is_silent)
        return [self._signal(step, move, found, view.at) for move in moves]

    def _move(self, step: Step, found: ClauseStep, view: View, *, is_silent: bool) -> list[StageMove]:
        machine, program, ledger = self._machine, self._program, step.user.ledger
        stage = machine.initial if ledger.stage is None else ledger.stage.name
        if not machine.is_affected(stage, found.watched):
            return []
        moves = list(machine.moves(stage, lambda index: program.watched[index].test(view)))
        if not moves:
            return moves
        ledger.stage = Stage(moves[-1].target, view.at)
        step.user.has_changed = True
        for leaf in program.by_value.get(("lifecycle", ""), ()):
            found.touch(program, leaf.key)
        for move in moves:
            self._piece.stages.append(StageCount(move.origin, move.target, view.at, is_silent))
            if not is_silent:
                self._piece.outputs.count("stage_moves", move.origin, move.target)
        return moves

    def _signal(self, step: Step, move: StageMove, found: ClauseStep, at: int) -> Signal:
        leaves = self._program.watched[move.condition].leaves
        # A condition of which nothing has changed held before: the user has entered the stage before it in this step.
        changed = {change.key for change in found.changes} & leaves or leaves
        return Signal(
            kind="lifecycle_moved",
            user=step.user.name,
            at=at if step.timer is not None else step.at,
            cause=step.cause,
            name=move.target,
            origin=move.origin,
            clauses=tuple(canonical(self._program.leaves[key].clause).decode() for key in sorted(changed)),
            covered_from=self._covered_from(leaves),
        )

    def _covered_from(self, leaves: Iterable[int]) -> int:
        times = (self._program.leaves[key].covered_from for key in leaves)
        return max((at for at in times if at > ALWAYS), default=0)
