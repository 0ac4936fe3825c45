"""The results of a step: changes of clauses and of values, segments to decide, and moves of the user."""

from __future__ import annotations

from typing import Any, NamedTuple

from models.conditions.clauses import Subject
from models.conditions.program import ConditionProgram
from models.conditions.truth import Truth

UNKNOWN_VALUE: Any = object()
"""The value before a change, if it is not known."""


class ValueChange(NamedTuple):
    """A change of a value of the user.

    Attributes
    ----------
    subject, name
        The value.
    previous
        The value before, if it is known. Then only those comparisons are made whose result can differ.
    """

    subject: Subject
    name: str
    previous: Any = UNKNOWN_VALUE


class Change(NamedTuple):
    """A change of a clause.

    Attributes
    ----------
    key
        Number of the clause.
    before, after
        Its truth before and after the step.
    """

    key: int
    before: Truth
    after: Truth


class Move(NamedTuple):
    """A user's move into a segment or out of it.

    Attributes
    ----------
    segment
        Name of the segment.
    has_entered
        Whether the user has entered it; otherwise the user has left it.
    at
        Time of the step, milliseconds.
    clauses
        Numbers of the clauses that changed in the step and belong to the segment, ascending.
    """

    segment: str
    has_entered: bool
    at: int
    clauses: tuple[int, ...] = ()


class ClauseStep:
    """The results of the first part of a step: the clauses that changed, and the segments to decide.

    Attributes
    ----------
    changes
        The clauses whose truth has changed.
    dirty
        Indexes of the segments that have to be decided.
    watched
        Indexes of the watched conditions whose truth may have changed.
    """

    __slots__ = ("changes", "dirty", "watched")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.dirty: set[int] = set()
        self.watched: set[int] = set()

    def __bool__(self) -> bool:
        """Return whether there is anything to decide."""
        return bool(self.dirty or self.watched)

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"ClauseStep({len(self.changes)} changes, {len(self.dirty)} segments, {len(self.watched)} watched)"

    def change(self, program: ConditionProgram, key: int, before: Truth, after: Truth) -> None:
        """Record the truth of a clause before and after the step."""
        if before is not after:
            self.changes.append(Change(key, before, after))
            self.touch(program, key)

    def touch(self, program: ConditionProgram, key: int) -> None:
        """Record that the truth of a clause may have changed."""
        self.dirty.update(program.by_leaf[key])
        self.watched.update(program.watched_by_leaf[key])

    def merge(self, other: ClauseStep) -> None:
        """Add the results of another part of the same step."""
        self.changes += other.changes
        self.dirty |= other.dirty
        self.watched |= other.watched
