"""Failures of single steps: each step that fails becomes a dead letter, and too many in a row stop the fold."""

from __future__ import annotations

from models.errors import PerennialError
from models.fold.due_times import Entry

MAX_FAILURES = 100
"""Maximum number of failures in a row. At this number the fold stops, because a bad deployment is the cause."""


class FoldBroken(PerennialError):
    """A hundred failures in a row. The lane has to stop; no data has been lost."""


class StepFailed(Exception):
    """The failure of one step, after which its piece is folded again without the step.

    Parameters
    ----------
    number
        Number of the step within its piece.
    error
        The error that the step has raised.
    entry
        For a message that is released before the step of this number: the entry of its timer.
    """

    def __init__(self, number: int, error: Exception, entry: Entry | None = None) -> None:
        super().__init__(number, error)
        self.number = number
        self.error = error
        self.entry = entry
