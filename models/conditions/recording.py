"""Record the truths of clauses while the facts of a piece of the log are folded, for the decisions that come later.

When a decision is made, the clauses have already seen the later events of the piece. So the decision reads the truths
that were recorded. A clause without a recorded change has had one truth in the whole piece, so its truth at the end of
the piece is used. Clauses on values are not recorded: a decision sees the values as they were at its step.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.conditions.clauses import BucketClause, ValueClause
from models.conditions.evaluator import View
from models.conditions.leaf import LeafEvaluator, Person
from models.conditions.program import ConditionProgram
from models.conditions.steps import Change
from models.conditions.truth import Truth
from models.conditions.user_state import UserConditions


class TruthRecord:
    """The changes of one user's clauses on events during a piece of the log."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: dict[int, list[tuple[int, Change]]] = {}

    def __repr__(self) -> str:
        """Show the amount."""
        return f"TruthRecord({len(self._changes)} clauses)"

    def add(self, number: int, changes: Iterable[Change]) -> None:
        """Record the changes of a step; steps come in the order of the log."""
        for change in changes:
            self._changes.setdefault(change.key, []).append((number, change))

    def has(self, key: int) -> bool:
        """Return whether a clause has changed in the piece."""
        return key in self._changes

    def truth(self, key: int, number: int) -> Truth:
        """Return the truth of a clause that has changed in the piece, after the step of a number."""
        changes = self._changes[key]
        truth = changes[0][1].before
        for changed, change in changes:
            if changed > number:
                break
            truth = change.after
        return truth


class RecordedView(View):
    """The truths of one user at a step of a piece whose facts are folded already.

    Parameters
    ----------
    program, user
        The conditions, and what the user's clauses remember at the end of the piece.
    person
        The user with the values and the time zone as of the step.
    at
        Time of the step, milliseconds.
    """

    __slots__ = ("_end", "_last", "_number", "_record")

    def __init__(self, program: ConditionProgram, user: UserConditions, person: Person, at: int) -> None:
        super().__init__(program, user, person, at)
        self._record, self._number, self._end, self._last = TruthRecord(), 0, at, person

    def read(self, record: TruthRecord, number: int, end: int, last: Person) -> RecordedView:
        """Read a record.

        Parameters
        ----------
        record
            The changes of the user's clauses in the piece.
        number
            Number of the step.
        end, last
            Time at the end of the piece, milliseconds, and the user as of then.
        """
        self._record, self._number, self._end, self._last = record, number, end, last
        return self

    def leaf(self, leaf: LeafEvaluator) -> Truth:
        """Return the truth of a clause after the step."""
        if isinstance(leaf.clause, ValueClause | BucketClause):
            return super().leaf(leaf)
        if leaf.key in self.program.pending:
            return None
        if self._record.has(leaf.key):
            return self._record.truth(leaf.key, self._number)
        return leaf.truth(self.user.entry(leaf), self._end, self._last)
