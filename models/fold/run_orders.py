"""The orders about runs in one partition: which journeys are paused, and which orders runs have to follow.

A run follows an order at the next step of its user. A user without a step is reached a little later, by a timer of the
partition. The times are spread over the users, so that no commit becomes too large. Until then, nothing happens to the
run. So it is the same as if it had followed the order at its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal
from zlib import crc32

import msgspec

from models.engage.journeys.orders import RunOrder, is_settled, next_order
from models.engage.planner import journey_of
from models.fold.noting import time_to_note
from models.log import JourneyOrder
from models.profile.ledger import NEVER, Ledger, Pending

REACH = "orders"
"""Name of the partition's timer at which a user without a step is reached."""
USERS_PER_SECOND = 2_000
"""Number of users of a partition that are reached in a second."""


class Pause(msgspec.Struct, frozen=True):
    """The pause of a journey: its beginning, milliseconds, and what happens to new entries."""

    since: int
    entries: Literal["hold", "drop"]


class Round(msgspec.Struct, frozen=True):
    """The reaching of all users after an order.

    Attributes
    ----------
    at
        Place of the order: the partition's clock, milliseconds.
    users
        Number of users of the partition.
    is_complete
        Whether all of them have been reached.
    """

    at: int
    users: int
    is_complete: bool = False

    @property
    def begins(self) -> int:
        """Time at which the first user is reached, milliseconds."""
        return self.at + time_to_note(self.users)

    @property
    def until(self) -> int:
        """Time by which all users have been reached, milliseconds."""
        return self.begins + self.users * 1000 // USERS_PER_SECOND

    def due_of(self, key: bytes) -> int:
        """Return the time at which a user is reached, unless a step of the user comes before; milliseconds."""
        return self.begins + (crc32(key) * self.users * 1000 // USERS_PER_SECOND >> 32)


class RunOrders(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """The orders in use in a partition.

    Attributes
    ----------
    orders
        The orders that runs may have to follow, the oldest first.
    paused
        The paused journeys, by name.
    reached
        The reaching of all users after the newest order; ``None`` before any.
    """

    orders: tuple[RunOrder, ...] = ()
    paused: dict[str, Pause] = {}
    reached: Round | None = None

    @cached_property
    def newest(self) -> dict[str, int]:
        """Place of the newest order, by journey."""
        return {order.journey: order.at for order in self.orders}

    @cached_property
    def entries(self) -> dict[str, str]:
        """Fate of new entries of paused journeys, by name: ``hold`` or ``drop``."""
        return {name: pause.entries for name, pause in self.paused.items()}

    @property
    def targets(self) -> Iterable[str]:
        """The versions to which runs move."""
        return (order.version for order in self.orders if order.kind == "move" and order.version)

    def after(self, given: Iterable[JourneyOrder], now: int, users: int) -> RunOrders:
        """Return the orders after those of a record.

        Parameters
        ----------
        given
            The orders of the record that act.
        now
            The partition's clock, milliseconds.
        users
            Number of users of the partition.
        """
        is_done = self.reached is None or self.reached.is_complete or now > self.reached.until
        orders = [] if is_done else [*self.orders]
        at = max(now, *(order.at + 1 for order in self.orders)) if self.orders else now
        paused, has_new = dict(self.paused), False
        for one in given:
            if one.kind == "pause":
                paused[one.journey] = Pause(now, one.entries)
                continue
            if one.kind == "resume" and paused.pop(one.journey, None) is None:
                continue
            orders.append(RunOrder(one.journey, one.kind, at, one.version, one.spread))
            has_new = True
        reached = Round(now, users, is_complete=not users) if has_new else self.reached
        return RunOrders(tuple(orders), dict(sorted(paused.items())), reached)

    def are_open(self, ledger: Ledger) -> bool:
        """Return whether something of a user has to follow an order."""
        if not self.orders:
            return False
        runs, newest = ledger.runs, self.newest
        if runs is not None and any(not is_settled(run, newest) for run in runs.active):
            return True
        return any(self.release_of(pending) is not None for pending in ledger.pending)

    def next_of(self, ledger: Ledger) -> int:
        """Return the place of the first order that something of a user has to follow, milliseconds, or ``NEVER``."""
        runs = () if ledger.runs is None else ledger.runs.active
        releases = [self.release_of(pending) for pending in ledger.pending]
        found = [*(next_order(run, self.orders) for run in runs), *(one.at for one in releases if one is not None)]
        return min(found, default=NEVER)

    def release_of(self, pending: Pending) -> RunOrder | None:
        """Return the order that releases a message which a pause has held; ``None`` if none does."""
        journey = journey_of(pending.rule)
        if journey and journey not in self.paused and pending.until <= self.newest.get(journey, 0):
            for order in reversed(self.orders):
                if order.kind == "resume" and order.journey == journey:
                    return order if pending.until <= order.at else None
        return None
