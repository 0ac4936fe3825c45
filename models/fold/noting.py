"""Putting all users of a partition into the queue of timers in parts, so that no commit is delayed.

It takes some seconds to note a million users. So the first of them is due some time later, and before that time, some
users are noted with each piece of the log.
"""

from __future__ import annotations

from collections.abc import Callable

from models.fold.due_times import DueTimes

NOTED_PER_PIECE = 10_000
"""Number of users that are noted with each piece; it changes no result."""
USERS_NOTED_PER_SECOND = 20_000
"""Number of users that are noted in a second, before the first one is due."""


def time_to_note(users: int) -> int:
    """Return the time between a change and the first user who is due, milliseconds."""
    return 1 + users * 1000 // USERS_NOTED_PER_SECOND


class Noting:
    """The users of a partition who are still to be put into the queue.

    Parameters
    ----------
    due
        The queue of timers.
    due_of
        Returns the time at which a user is due, milliseconds.
    begins
        Returns the time at which the first user is due, milliseconds; ``None`` if none is.
    """

    def __init__(self, due: DueTimes, due_of: Callable[[bytes], int], begins: Callable[[], int | None]) -> None:
        self._due = due
        self._due_of = due_of
        self._begins = begins
        self._waiting: list[bytes] = []

    def __repr__(self) -> str:
        """Show the amount."""
        return f"Noting({len(self._waiting)} users to note)"

    def begin(self, users: list[bytes], now: int) -> None:
        """Begin to note all users, in place of those who were to be noted before."""
        self._waiting = users
        self.move_clock(now)

    def note(self, number: int = NOTED_PER_PIECE) -> None:
        """Put some users into the queue."""
        if not self._waiting:
            return
        for key in self._waiting[-number:]:
            self._due.add(self._due_of(key), key)
        del self._waiting[-number:]

    def move_clock(self, now: int) -> None:
        """Put the others into the queue if the first user is due."""
        until = self.until
        if until is not None and now >= until:
            self.note(len(self._waiting))

    @property
    def until(self) -> int | None:
        """Time at which all users have to be in the queue, milliseconds; ``None`` if they are."""
        return self._begins() if self._waiting else None
