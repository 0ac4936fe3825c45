"""A user while a piece of the log is folded."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any

import msgspec

from models.profile.ledger import NEVER, Ledger
from models.profile.numbers import numbers_of, put_back
from models.profile.snapshot import Snapshot
from models.profile.state import Customer, Facts
from models.profile.timers import set_timer

PENDING = "pending"
"""Name of the timer at which a deferred message may be sent.

Only decisions set it. So the first pass keeps it apart from the timers that follow from facts.
"""


_number = itemgetter(0)


class LiveUser(msgspec.Struct, eq=False, gc=False):
    """A decoded user, with everything that the passes over a piece have to remember about the user.

    :func:`live_user` makes one.

    Attributes
    ----------
    key, name
        Key of the user's records, and the user's id.
    customer, facts, ledger
        The state, changed in place, and its two halves. It has no timer ``PENDING`` until :meth:`settle`.
    numbers
        The numbers from which the features follow.
    pending
        Due time of the timer ``PENDING``; ``NEVER`` without one. The first pass only reads it.
    queued
        Due time of the user's newest entry in the queue of timers; ``NEVER`` if that entry has fired.
    is_pending_due
        Whether the first pass has found ``pending`` due.
    row
        The newest row of the user in the piece; -1 before any.
    is_aligned
        Whether the ledger has the results of the versions in use.
    is_scheduled
        Whether the daily assessment is known to be scheduled.
    has_steps
        Whether a step of the user in the piece may have something to decide.
    has_changed
        Whether the user has to be stored.
    has_new_timers
        Whether an event has set or cancelled a timer.
    views
        What decisions saw before each change of it: the number of the step that changed it, and the snapshot.
    """

    key: bytes
    name: str
    customer: Customer
    facts: Facts
    ledger: Ledger
    numbers: Any
    pending: int
    queued: int
    is_pending_due: bool = False
    row: int = -1
    is_aligned: bool = False
    is_scheduled: bool = False
    has_steps: bool = False
    has_changed: bool = False
    has_new_timers: bool = False
    views: list[tuple[int, Snapshot]] | None = None

    def __repr__(self) -> str:
        """Name the user, and show the next timers."""
        return f"LiveUser({self.name!r}, next_timer={self.next_timer}, pending={self.pending})"

    @property
    def next_timer(self) -> int:
        """Due time of the next timer that follows from facts; ``NEVER`` without one."""
        timers = self.ledger.timers
        return timers[0].due if timers else NEVER

    def keep_view(self, number: int) -> None:
        """Keep what decisions before the step of this number see, because the step is about to change it."""
        if self.has_steps or self.pending != NEVER:
            if self.views is None:
                self.views = []
            self.views.append((number, Snapshot(self.facts)))

    def view_at(self, number: int) -> Snapshot:
        """Return the facts that decisions see after the step of this number."""
        views = self.views or ()
        place = bisect_right(views, number, key=_number)
        return views[place][1] if place < len(views) else Snapshot(self.facts)

    def settle(self) -> Customer:
        """Return the state in the form in which it is stored."""
        if self.pending != NEVER:
            set_timer(self.customer, PENDING, self.pending)
        put_back(self.numbers, self.facts)
        return self.customer


def live_user(key: bytes, customer: Customer) -> LiveUser:
    """Return a user for the passes over a piece; the customer's state is changed in place."""
    facts, ledger, pending = customer.facts, customer.ledger, NEVER
    for place, timer in enumerate(ledger.timers):
        if timer.name == PENDING:
            pending = timer.due
            del ledger.timers[place]
            break
    timers = ledger.timers
    queued = min(timers[0].due if timers else NEVER, pending)
    return LiveUser(key, key.decode(), customer, facts, ledger, numbers_of(facts), pending, queued)
