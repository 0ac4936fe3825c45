"""The failures that are known when a piece of the log is folded again."""

from __future__ import annotations

import sys

from models.fold.due_times import Entry
from models.fold.failures import Cause, FoldBroken, StepFailed

BEFORE_ALL: Entry = (-1, b"")
"""A place before all timers. A piece that ends before it ends right after its last step."""


class KnownFailures:
    """The failures of the last step of a piece.

    A step is known by what identifies it. A record may fail twice: its event fails, and the statement in it. Then both
    are known.

    Attributes
    ----------
    errors
        The errors by what caused them. Each cause is rejected with its error instead of being tried again.
    """

    def __init__(self) -> None:
        self.errors: dict[Cause, Exception] = {}
        self._failures: list[StepFailed] = []
        self._met: set[Cause] = set()

    def __repr__(self) -> str:
        """Show the errors."""
        return f"KnownFailures({self.errors!r})"

    @property
    def max_steps(self) -> int:
        """Number of steps up to the newest failure, with its step."""
        if not self._failures:
            return sys.maxsize
        newest = self._failures[-1]
        return newest.number if newest.is_release and not newest.needs_step else newest.number + 1

    @property
    def ends_before(self) -> Entry | None:
        """A due time and a key: timers behind the newest failure are not a part of the piece; ``None`` without one."""
        if not self._failures:
            return None
        newest, cause = self._failures[-1], self._failures[-1].cause
        return (cause.due, cause.key + b"\0") if newest.is_release and not newest.needs_step else BEFORE_ALL

    def add(self, failed: StepFailed) -> None:
        """Add a failure, and forget those of later steps, because without this step they may succeed.

        Raises
        ------
        FoldBroken
            The failure was known. So the fold does not give the same result each time.
        """
        if failed.cause in self.errors:
            raise FoldBroken("a piece of the log gives another result when it is folded again") from failed.error
        self._failures = [one for one in self._failures if one.place <= failed.place]
        self._failures.append(failed)
        self.errors = {one.cause: one.error for one in self._failures}

    def begin(self) -> None:
        """Begin to fold the piece."""
        self._met.clear()

    def forget(self) -> None:
        """Forget all failures."""
        self._failures.clear()
        self.errors = {}

    def meet(self, cause: Cause) -> Exception | None:
        """Return the error with which a step is rejected; ``None`` if it is to be tried."""
        error = self.errors.get(cause)
        if error is not None:
            self._met.add(cause)
        return error

    def finish(self) -> int:
        """Forget the failures at the end of their piece, and return their number.

        Raises
        ------
        FoldBroken
            The piece has ended without one of them. So the fold does not give the same result each time.
        """
        number = len(self.errors)
        if len(self._met) != number:
            raise FoldBroken(f"a piece of the log was folded without steps that had failed: {self!r}")
        self.forget()
        return number
