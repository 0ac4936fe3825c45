"""The features that conditions read: those of the newest step at which the models scored the user.

The second pass computes the features of all scored steps. So a decision at such a step sees the features of this step.
Other decisions see those of the newest scored step before. The ledger keeps only the features that a condition names.

A feature that no condition named before is computed from the facts, as of the last scored step. So a user who does
nothing has a value, too.
"""

from __future__ import annotations

from models.conditions.program import ConditionProgram
from models.conditions.steps import ValueChange
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.live_user import LiveUser
from models.fold.piece import Step
from models.fold.scores import PieceScores
from models.profile.features import PLACES
from models.profile.ledger import Ledger


class IssuedFeatures:
    """The features of the rows of one piece, as far as conditions read them.

    Parameters
    ----------
    conditions
        The conditions in use.
    scores
        The features of all rows.
    """

    def __init__(self, conditions: ConditionsInUse, scores: PieceScores) -> None:
        self._program: ConditionProgram = conditions.program
        self._columns = {name: scores.feature(PLACES[name]) for name in conditions.features}
        self._changes: dict[int, list[ValueChange]] = {}

    def __repr__(self) -> str:
        """Name the features."""
        return f"IssuedFeatures({', '.join(self._columns)})"

    def may_change(self, step: Step) -> bool:
        """Return whether the features of a scored step may change a condition, before the ledger has them."""
        before, row, found = step.before, step.row, list[ValueChange]()
        known = self._known(step.user) if before < 0 else {}
        for name, column in self._columns.items():
            value, previous = column[row], known.get(name) if before < 0 else column[before]
            if value != previous and self._is_read_between(name, previous, value):
                found.append(ValueChange("feature", name, previous))
        if found:
            self._changes[step.number] = found
        return bool(found)

    def changes(self, step: Step) -> list[ValueChange]:
        """Return the changes that :meth:`may_change` has found at a step."""
        return self._changes.get(step.number, [])

    def issue(self, ledger: Ledger, row: int) -> None:
        """Record the features of a row in the ledger."""
        ledger.features = {name: column[row] for name, column in self._columns.items()}

    def adopt(self, user: LiveUser) -> None:
        """Let the ledger have the features that new conditions read, and no others."""
        known = self._known(user)
        user.ledger.features = {name: known[name] for name in self._columns if name in known} or None

    def _known(self, user: LiveUser) -> dict[str, float]:
        """Return the features before the first scored step of the piece."""
        held, row = user.ledger.features or {}, user.recalled
        if row < 0:
            return held
        return {name: column[row] for name, column in self._columns.items()} | held

    def _is_read_between(self, name: str, previous: float | None, value: float) -> bool:
        """Return whether a clause may have different truths for two values."""
        if ("feature", name) in self._program.by_value:
            return True
        return any(self._program.numbers["feature", name].changing(previous, value))
