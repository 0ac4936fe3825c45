"""The churn risks that conditions read: those of the newest step at which the models scored the user.

The second pass computes the risks of all scored steps. A step changes only the clauses with a bound between the risk
before and the new one. The first risk of a user changes only the clauses that it meets.
"""

from __future__ import annotations

from typing import Any

from models.conditions.program import ConditionProgram, ValueName
from models.conditions.steps import UNKNOWN_VALUE, ValueChange
from models.configuration.compiled import Configuration
from models.fold.piece import Step
from models.fold.scores import PieceScores
from models.fold.user_values import churn_names


class IssuedRisks:
    """The risks of the rows of one piece, as far as conditions read them.

    Parameters
    ----------
    program
        The conditions in use.
    scores
        The risks of all rows.
    configuration
        The configuration in use.
    """

    def __init__(self, program: ConditionProgram, scores: PieceScores, configuration: Configuration) -> None:
        names: list[ValueName] = [("score", name) for name in churn_names(configuration)]
        self._risks = scores.risks
        self._bounds = [program.numbers[name] for name in names if name in program.numbers]
        self._is_compared = any(name in program.by_value for name in names)
        self._names = [name for name in names if name in program.numbers or name in program.by_value]
        self._before: dict[int, Any] = {}

    def __repr__(self) -> str:
        """Name the scores."""
        return f"IssuedRisks({', '.join(name for _, name in self._names)})"

    def may_change(self, step: Step) -> bool:
        """Return whether the risk of a scored step may change a condition, before the ledger has it."""
        user, risks = step.user, self._risks
        if risks is None or not self._names or not user.facts.identified:
            return False
        before = user.ledger.risk if step.before < 0 else risks[step.before]
        if step.adoption is not None:
            before = UNKNOWN_VALUE  # the adoption may read the risk of another version
        if self._is_compared or any(bounds.changing(before, risks[step.row]) for bounds in self._bounds):
            self._before[step.number] = before
            return True
        return False

    def changes(self, step: Step) -> list[ValueChange]:
        """Return the changes that :meth:`may_change` has found at a step."""
        if step.number not in self._before:
            return []
        return [ValueChange(*name, self._before[step.number]) for name in self._names]
