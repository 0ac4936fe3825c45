"""A user while a piece of the log is folded."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any

import msgspec

from models.conditions.leaf import Person
from models.conditions.recording import TruthRecord
from models.conditions.user_state import UserConditions
from models.profile.ledger import NEVER, IssuedRfm, Ledger
from models.profile.links import ProfileIdentity
from models.profile.numbers import numbers_of, put_back
from models.profile.snapshot import Snapshot
from models.profile.state import Customer, Facts
from models.profile.timers import set_timer

PENDING = "pending"
"""Name of the timer at which a deferred message may be sent."""
WAITS = "waits"
"""Name of the timer at which a membership in a segment has lasted for a duration."""
RUNS = "journeys"
"""Name of the timer at which a run of the user goes on by itself. Every user with a run has it."""
DECIDED = frozenset({PENDING, RUNS, WAITS})
"""Names of the timers that only decisions set. The first pass keeps them apart from those that follow from facts."""

_number = itemgetter(0)


class LiveUser(msgspec.Struct, eq=False, gc=False):
    """A decoded user, with everything that the passes over a piece have to remember about the user.

    :func:`live_user` makes one.

    Attributes
    ----------
    key, name
        Key of the user's records, and the user's id.
    customer, facts, ledger
        The state, changed in place, and its two halves. It has no timers of ``DECIDED`` until :meth:`settle`.
    numbers
        The numbers from which the features follow.
    decided
        Due times of the timers of ``DECIDED``, by name. The first pass only reads it.
    queued
        Due time of the user's newest entry in the queue of timers; ``NEVER`` if that entry has fired.
    found
        Names of the timers of ``decided`` that the first pass has found due.
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
    conditions
        What the clauses of conditions remember, and the segments by rule; ``None`` until it is needed.
    person
        What clauses read of the user as of the newest step of the first pass; ``None`` until it is needed.
    truths
        How the clauses have changed in the piece; ``None`` for not at all.
    rfm, stored_rfm
        The newest scores of a buyer in the first pass, which the ledger gets in the third, and those before the piece.
    is_waiting
        Whether the user is stored, and had not come to the conditions in use before the piece. It is only known until
        all users have come to them.
    lost
        Number and due time of the first timer of the clauses that could not fire in the piece; ``None`` for none. The
        changes of the clauses at that time are not recorded.
    recalled
        Row of the user as of the last assessment before new conditions; -1 without one.
    is_new
        Whether the user was not stored before the piece.
    judged
        The campaigns that have judged the user or will do so in the piece, by id: whether the user is new since their
        start. The first pass needs it, because the marks in the ledger, which decide, only change in the third pass.
        It is read from them at the first need in a piece, and never stored. ``None`` until then.
    """

    key: bytes
    name: str
    customer: Customer
    facts: Facts
    ledger: Ledger
    numbers: Any
    decided: dict[str, int]
    queued: int
    found: frozenset[str] = frozenset()
    row: int = -1
    is_aligned: bool = False
    is_scheduled: bool = False
    has_steps: bool = False
    has_changed: bool = False
    has_new_timers: bool = False
    views: list[tuple[int, Snapshot]] | None = None
    conditions: UserConditions | None = None
    person: Person | None = None
    truths: TruthRecord | None = None
    rfm: IssuedRfm | None = None
    stored_rfm: IssuedRfm | None = None
    is_waiting: bool = False
    lost: tuple[int, int] | None = None
    recalled: int = -1
    is_new: bool = False
    judged: dict[str, bool] | None = None

    def __repr__(self) -> str:
        """Name the user, and show the next timers."""
        return f"LiveUser({self.name!r}, next_timer={self.next_timer}, decided={self.decided})"

    @property
    def next_timer(self) -> int:
        """Due time of the next timer that follows from facts; ``NEVER`` without one."""
        timers = self.ledger.timers
        return timers[0].due if timers else NEVER

    @property
    def next_decided(self) -> int:
        """Due time of the next timer that decisions set and that the first pass has not found due, or ``NEVER``."""
        if not self.decided:
            return NEVER
        return min((due for name, due in self.decided.items() if name not in self.found), default=NEVER)

    def find_due(self, due: int) -> str:
        """Find the timer of ``decided`` that is due at a time, and return its name; of two, the first one by name."""
        name = min(name for name, at in self.decided.items() if at == due and name not in self.found)
        self.found |= {name}
        return name

    def keep_view(self, number: int) -> None:
        """Keep what decisions before the step of this number see, because the step is about to change it."""
        if self.has_steps or self.decided:
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
        for name, due in self.decided.items():
            set_timer(self.customer, name, due)
        put_back(self.numbers, self.facts)
        if self.conditions is not None and not self.is_merged:
            self._settle_conditions(self.conditions)
        return self.customer

    @property
    def is_merged(self) -> bool:
        """Whether the user is an anonymous id whose profile has moved to a known user, so that it has no events."""
        identity = self.customer.identity
        return identity is not None and identity.owner is not None and not self.facts.events

    def judged_orders(self) -> dict[str, bool]:
        """Return the campaigns that have judged the user (see ``judged``), to be changed."""
        if self.judged is None:
            self.judged = {mark.order: mark.has_no_turn for mark in self.ledger.campaigns}
        return self.judged

    def open_identity(self) -> ProfileIdentity:
        """Return the links of the user to other profiles, to be changed."""
        if self.customer.identity is None:
            self.customer.identity = ProfileIdentity()
        return self.customer.identity

    def open_conditions(self) -> UserConditions:
        """Return what the clauses of conditions remember, and the segments by rule."""
        if self.conditions is None:
            self.conditions = UserConditions(self.facts.clauses, self.ledger.memberships)
            self.conditions.state.known_since = self.facts.known_since
        return self.conditions

    def _settle_conditions(self, conditions: UserConditions) -> None:
        conditions.settle()
        state, memberships = conditions.state, conditions.memberships
        self.facts.known_since, state.known_since = state.known_since, 0
        self.facts.clauses = state if state.entries or state.dues else None
        self.ledger.memberships = memberships if memberships.since else None


def live_user(key: bytes, customer: Customer) -> LiveUser:
    """Return a user for the passes over a piece; the customer's state is changed in place."""
    facts, ledger, decided, timers = customer.facts, customer.ledger, dict[str, int](), customer.ledger.timers
    queued = timers[0].due if timers else NEVER
    for timer in timers:
        if timer.name in DECIDED:
            decided[timer.name] = timer.due
    if decided:
        ledger.timers = [timer for timer in timers if timer.name not in DECIDED]
    scores = ledger.rfm
    return LiveUser(
        key,
        key.decode(),
        customer,
        facts,
        ledger,
        numbers_of(facts),
        decided,
        queued,
        rfm=scores,
        stored_rfm=scores,
    )
