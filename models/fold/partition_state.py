"""The state of one partition: its users, its clock, its timers and its versions, with uncommitted changes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec

from models.batch import Restored
from models.errors import InvalidEvent
from models.events import REPORTED, Event
from models.fold.due_times import DueTimes
from models.fold.memo import read_memo, versions_in_use
from models.log import CONTROL
from models.profile import codec
from models.profile.ledger import NEVER
from models.profile.reducers import Cutoffs
from models.profile.state import Customer


class PartitionState:
    """The committed state of a partition, and the fold's changes that are not committed yet.

    Parameters
    ----------
    committed
        The committed state; it is only read.

    Attributes
    ----------
    live
        Decoded users by key. They may be ahead of the committed state.
    due
        Users by their next timer.
    memo
        The partition's clock and counters.
    versions
        The versions in use.

    Raises
    ------
    StateMismatch
        The state was written under another schema.
    """

    def __init__(self, committed: Restored) -> None:
        self._committed = committed
        self.live: dict[bytes, Customer] = {}
        self.due = DueTimes(self._due_times_of)
        self.reload()
        for key, packed in committed.records.items():
            if key[:1] == CONTROL:
                continue
            due = codec.header(packed)[1]
            if due != NEVER:
                self.due.add(due, key)

    def __repr__(self) -> str:
        """Show the clock, and the amounts stored and cached."""
        memo = self.memo
        return (
            f"PartitionState({memo.clock or 'no'} clock, now={memo.now}, {len(self._committed.records)} records, "
            f"{len(self.live)} live users, {len(self.due)} timers)"
        )

    def reload(self) -> None:
        """Forget every uncommitted change of users, clock and versions; the queue of timers stays."""
        self.live.clear()
        self.memo = read_memo(self._committed)
        self.versions = versions_in_use(self._committed, self.memo)
        self._cutoffs: Cutoffs | None = None
        self._cutoffs_at = 0

    # --- users -----------------------------------------------------------------------------------------------------

    def customer(self, key: bytes) -> Customer:
        """Return the working copy of a user's state; for a new user, it is empty."""
        customer = self.live.get(key)
        if customer is None:
            packed = self._committed.records.get(key)
            customer = Customer() if packed is None else codec.unpack(packed)
            self.live[key] = customer
        return customer

    def release_users(self, touched: Iterable[bytes], limit: int) -> None:
        """Keep at most ``limit`` decoded users cached: those that were touched last."""
        live = self.live
        if not limit:
            live.clear()
        elif len(live) > limit:
            for key in touched:  # least recently touched first, so that the busiest users stay
                live[key] = live.pop(key)
            # All surplus keys are collected in one pass. A new iteration for each key would step over all entries that
            # were deleted before.
            for key in list(islice(live, len(live) - limit)):
                del live[key]

    # --- timers ----------------------------------------------------------------------------------------------------

    def schedule(self, key: bytes, customer: Customer) -> None:
        """Add a user's next timer to the queue."""
        due = customer.next_due
        if due != NEVER:
            self.due.add(due, key)

    def next_due(self) -> int | None:
        """Return the due time of the partition's next timer; remove entries of the queue that are out of date."""
        while (entry := self.due.first()) is not None:
            due, key = entry
            if due == self._next_due_of(key):
                return due
            self.due.pop()
        return None

    def _next_due_of(self, key: bytes) -> int:
        live = self.live.get(key)
        if live is not None:
            return live.next_due
        packed = self._committed.records.get(key)
        return NEVER if packed is None else codec.header(packed)[1]

    def _due_times_of(self, key: bytes) -> list[int]:
        live, packed = self.live.get(key), self._committed.records.get(key)
        times = [] if packed is None else [codec.header(packed)[1]]
        return times if live is None else [*times, live.next_due]

    # --- clock and versions ----------------------------------------------------------------------------------------

    def use(self, name: str, version: int, content: bytes) -> bool:
        """Use a version, see :meth:`Versions.use`; it may change the cut-offs."""
        self._cutoffs = None
        return self.versions.use(name, version, content)

    def cutoffs(self) -> Cutoffs:
        """Return the times before which events are late or refused now.

        An id may be forgotten only if every event with this id would be refused. So the time before which events are
        refused never decreases, even if the horizon grows.
        """
        now = self.memo.now
        if self._cutoffs is None or self._cutoffs_at != now:
            settings = self.versions.configuration.events
            self.memo.floor = max(self.memo.floor, now - settings.horizon)
            self._cutoffs = Cutoffs(now - settings.order_within, self.memo.floor, now - settings.remember_orders)
            self._cutoffs_at = now
        return self._cutoffs

    def refuse_too_late(self, customer: Customer, event: Event, cutoffs: Cutoffs) -> None:
        """Refuse an event that is so late that a repeat of it could not be recognized, unless a person has forced it.

        Reports about our messages are never refused in a feeder's log, because the feeder's clock may run ahead of
        the delivery.

        Raises
        ------
        InvalidEvent
            ``too_late``.
        """
        floor = max(cutoffs.refused_before, customer.facts.seen_ids.floor)
        if event.at >= floor or event.forced or (self.memo.clock == "feeder" and event.type in REPORTED):
            return
        allowed = f"{floor} or later, because a repeat of an older event could not be recognized; a person may force it"
        raise InvalidEvent("too_late", "at", event.at, allowed)

    def adjusted(self, event: Event) -> Event:
        """Return the event as this log allows it.

        In a log with the wall clock, an event's time is never later than the partition's clock. In a log with a
        feeder's clock, no event is live.
        """
        if self.memo.clock == "wall":
            if event.at > self.memo.now:
                return msgspec.structs.replace(event, at=self.memo.now)
        elif event.origin == "live":
            return msgspec.structs.replace(event, origin="replay")
        return event
