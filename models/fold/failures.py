"""Failures of single steps: each step that fails becomes a dead letter, and too many in a row stop the fold."""

from __future__ import annotations

from typing import NamedTuple

from models.errors import PerennialError

MAX_FAILURES = 100
"""Maximum number of failures in a row. At this number the fold stops, because a bad deployment is the cause."""

RECORD, EVENT, STATEMENT = "record", "event", "statement"
"""Parts of a record: all of it, its event, and the statement in its event."""


class FoldBroken(PerennialError):
    """A hundred failures in a row. The lane has to stop; no data has been lost."""


class ModelsFailed(PerennialError):
    """The models in use give no score for a user."""


class Cause(NamedTuple):
    """The identity of a step or of a part of it, wherever the log is cut.

    Attributes
    ----------
    offset
        Offset of the record; for a timer, of the record before which it fires.
    part
        ``RECORD``, ``EVENT`` or ``STATEMENT``; for a timer, its name.
    due, key
        For a timer: its due time and the key of its user.
    """

    offset: int
    part: str
    due: int = 0
    key: bytes = b""


class StepFailed(Exception):
    """The failure of one step, after which its piece is folded again without the step.

    Parameters
    ----------
    number
        Number of the step within its piece.
    error
        The error that the step has raised.
    cause
        What identifies the step.
    is_release
        Whether a deferred message was being released before the step of this number.
    needs_step
        Whether that release has followed from the step of this number, so that its piece has to contain the step.
    """

    def __init__(
        self, number: int, error: Exception, cause: Cause, *, is_release: bool = False, needs_step: bool = False
    ) -> None:
        super().__init__(number, error, cause)
        self.number = number
        self.error = error
        self.cause = cause
        self.is_release = is_release
        self.needs_step = needs_step

    @property
    def place(self) -> tuple[int, int, int, bytes]:
        """The place within the piece; places have the order of the log."""
        if self.is_release:
            return self.number, 0, self.cause.due, self.cause.key
        return self.number, 1, 0, b""
