"""The coming of all users of a partition to new conditions (:mod:`models.fold.conditions_in_use`)."""

from __future__ import annotations

from collections.abc import Callable

from models.fold.due_times import DueTimes
from models.fold.noting import Noting
from models.fold.versions import Versions
from models.profile.ledger import NEVER
from models.profile.state import Customer


class Adopting:
    """The users of a partition who come to new conditions by a timer, because they have no step before.

    Parameters
    ----------
    versions
        The versions in use; they have the conditions.
    due
        The queue of timers.

    Attributes
    ----------
    noting
        The users who are still to be put into the queue.
    """

    def __init__(self, versions: Versions, due: DueTimes) -> None:
        self._versions = versions
        self.noting = Noting(due, self.due_of, self._begins)

    def __repr__(self) -> str:
        """Show the amount."""
        return f"Adopting({self.noting!r})"

    def begin(self, users: list[bytes], now: int) -> None:
        """Let the users come to the conditions, unless all have come to them; the list is changed."""
        conditions = self._versions.conditions
        if conditions is not None and not conditions.is_complete:
            self.noting.begin(users, now)

    def due_of(self, key: bytes) -> int:
        """Return the time at which a user comes to the conditions; ``NEVER`` without any."""
        conditions = self._versions.conditions
        return NEVER if conditions is None else conditions.due_of(key)

    def is_due(self, key: bytes, due: int, customer_of: Callable[[bytes], Customer | None]) -> bool:
        """Return whether a user comes to the conditions at a time, because no step came before."""
        conditions = self._versions.conditions
        if conditions is None or conditions.is_complete or conditions.due_of(key) != due:
            return False
        customer = customer_of(key)
        return customer is not None and customer.facts.conditions != conditions.generation

    def _begins(self) -> int | None:
        conditions = self._versions.conditions
        return None if conditions is None else conditions.begins
