"""The reaching of all users of a partition after an order about runs (:mod:`models.fold.run_orders`)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec.structs import replace

from models.fold.due_times import DueTimes
from models.fold.noting import Noting
from models.fold.versions import Versions
from models.log import JourneyOrders
from models.profile.ledger import NEVER
from models.profile.state import Customer


class Reaching:
    """The users of a partition that are still to be put into the queue of timers.

    Parameters
    ----------
    versions
        The versions in use; they have the orders.
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
        return f"Reaching({self.noting!r})"

    def follow(self, control: JourneyOrders, keys: Callable[[], Collection[bytes]], now: int) -> None:
        """Follow a record with orders about runs; at the first level there are none.

        Parameters
        ----------
        control
            The record.
        keys
            Return the keys of all users.
        now
            The partition's clock, milliseconds.
        """
        versions = self._versions
        if versions.conditions is None or versions.watched is not None:
            return
        # Only orders that users have to follow need their number. A pause acts without going through them.
        users = list(keys()) if any(order.kind != "pause" for order in control.orders) else []
        before = versions.journeys.orders.reached
        versions.journeys = versions.journeys.ordered(control, now, len(users))
        if versions.journeys.orders.reached != before:
            self.begin(users, now)

    def restore(self, keys: Callable[[], Collection[bytes]], now: int) -> None:
        """Continue to reach all users after the newest order, unless all have been reached."""
        reached = self._versions.journeys.orders.reached
        if reached is not None and not reached.is_complete:
            self.begin(list(keys()), now)

    def begin(self, users: list[bytes], now: int) -> None:
        """Begin to reach all users after the newest order."""
        self.noting.begin(users, now)

    def _begins(self) -> int | None:
        reached = self._versions.journeys.orders.reached
        return None if reached is None else reached.begins

    def due_of(self, key: bytes) -> int:
        """Return the time at which a user is reached; ``NEVER`` if all have been reached."""
        reached = self._versions.journeys.orders.reached
        return NEVER if reached is None or reached.is_complete else reached.due_of(key)

    def is_due(self, key: bytes, due: int, customer_of: Callable[[bytes], Customer | None]) -> bool:
        """Return whether a user is reached at a time who has to follow an order, because no step came before."""
        if due != self.due_of(key):
            return False
        customer = customer_of(key)
        return customer is not None and self._versions.journeys.orders.are_open(customer.ledger)

    def complete(self) -> None:
        """Remember that all users have been reached."""
        journeys = self._versions.journeys
        if (reached := journeys.orders.reached) is not None:
            journeys.orders = replace(journeys.orders, reached=replace(reached, is_complete=True))
