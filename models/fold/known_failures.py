"""The errors of a step that is known to fail, because its piece was folded before."""

from __future__ import annotations

from models.fold.failures import MAX_FAILURES, FoldBroken
from models.fold.memo import Memo


class KnownFailures:
    """The errors of the first step of a piece.

    A step may fail twice: the event fails, and the statement that it contains.

    Parameters
    ----------
    errors
        The errors, in their order; none if the step is not known to fail.
    memo
        The partition's memo, which counts failures in a row.

    Attributes
    ----------
    are_left
        Whether there are errors that have not been returned.
    """

    def __init__(self, errors: tuple[Exception, ...], memo: Memo) -> None:
        self.are_left = bool(errors)
        self._errors = list(errors)
        self._memo = memo

    def __repr__(self) -> str:
        """Show the errors that are left."""
        return f"KnownFailures({self._errors!r})"

    def next_error(self) -> Exception | None:
        """Return the error with which the step in progress is rejected; ``None`` if it is to be tried.

        Raises
        ------
        FoldBroken
            ``MAX_FAILURES`` steps in a row have failed.
        """
        if not self._errors:
            return None
        error = self._errors.pop(0)
        self.are_left = bool(self._errors)
        self._memo.failing += 1
        if self._memo.failing >= MAX_FAILURES:
            raise FoldBroken(f"{MAX_FAILURES} events and timers in a row could not be folded") from error
        return error
