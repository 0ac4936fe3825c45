"""The first pass over a piece of the log: the clock, the facts of each event, and the timers that follow from facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from models.batch import Record
from models.fold import campaign_steps, clause_steps, step
from models.fold.clause_steps import ADOPT, CLAUSES
from models.fold.due_times import Entry
from models.fold.event_fold import EventFold
from models.fold.failures import RECORD, Cause, StepFailed
from models.fold.known_failures import KnownFailures
from models.fold.live_user import DECIDED, LiveUser
from models.fold.partition_state import PartitionState
from models.fold.piece import Piece
from models.fold.run_orders import REACH
from models.log import (
    CONTROL,
    BringHistory,
    CampaignOrder,
    Clock,
    Control,
    HistoryComplete,
    Instruction,
    JourneyOrders,
    ProfileSplit,
    Tick,
    Use,
    UserHistory,
    decode_control,
)
from models.profile import lateness, seen_ids
from models.profile.ledger import NEVER, Timer

EndingControl: TypeAlias = (
    Clock | Use | Instruction | BringHistory | HistoryComplete | ProfileSplit | CampaignOrder | JourneyOrders
)
"""Control records that end a piece."""


MAX_ENTRIES_PER_TIMER = 10
"""Maximum number of entries that are taken from the queue of timers, for each timer that may fire before a commit."""


class Limits(NamedTuple):
    """Limits of a piece.

    Attributes
    ----------
    steps
        Maximum number of steps.
    timers
        Maximum number of timers.
    """

    steps: int
    timers: int


class _PieceFull(Exception):
    """The signal that a timer is due that is not a part of the piece."""


class FactsPass:
    """The first pass over one piece.

    Parameters
    ----------
    state
        The partition's state, changed in place.
    piece
        The piece; it gets everything that the other passes need.
    limits
        Limits of the piece.
    failures
        The failures of the piece's last step, if it is known to fail.

    Attributes
    ----------
    control
        A control record that has ended the piece, because it changes the versions in use or a user, names the clock or
        gives an instruction.
    timers_left
        Number of timers that may still fire before a commit.
    is_full
        Whether more timers are due than may fire before a commit.
    popped
        Entries that were taken from the queue of timers.
    """

    def __init__(self, state: PartitionState, piece: Piece, limits: Limits, failures: KnownFailures) -> None:
        self.control: EndingControl | None = None
        self.timers_left = limits.timers
        self.is_full = False
        self.popped: list[Entry] = []
        self._state = state
        self._piece = piece
        self._outputs = piece.outputs
        self._max_steps = limits.steps
        self._max_popped = limits.timers * MAX_ENTRIES_PER_TIMER
        self._failures = failures
        self._events = EventFold(state, piece, failures)

    def run(self, records: Sequence[Record], begin: int) -> int:
        """Fold the records from index ``begin`` on, and return the index of the first record that is not folded.

        Raises
        ------
        StepFailed
            A step has failed; all steps before it have succeeded in this pass.
        """
        piece, outputs, memo, due = self._piece, self._outputs, self._state.memo, self._state.due
        fold_event, max_steps = self._events.fold, self._max_steps
        if self._failures.errors:
            fold_event = self._fold_known
        conditions = piece.versions.conditions
        complete_at = NEVER if conditions is None or conditions.is_complete else conditions.until
        reached = piece.versions.journeys.orders.reached
        reached_at = NEVER if reached is None or reached.is_complete else reached.until
        index = begin
        try:
            for index in range(begin, len(records)):
                record = outputs.record = records[index]
                key = record.key
                if key is not None and key[:1] == CONTROL:
                    self._fold_control(record)
                    piece.number += 1
                    if self.control is not None:
                        return index + 1
                    continue
                if not memo.clock:
                    memo.clock = "wall"
                if memo.clock == "wall" and record.timestamp > memo.now:
                    self._move(record.timestamp)
                if due.may_be_due(memo.now):
                    self._fire()
                if memo.now >= complete_at:
                    piece.completes_conditions = True
                if memo.now >= reached_at:
                    piece.completes_orders = True
                if piece.number >= max_steps:
                    return index
                outputs.number = piece.number
                fold_event(record)
                piece.number += 1
        except _PieceFull:
            return index
        return len(records)

    def _fold_known(self, record: Record) -> None:
        """Fold the event of a record, unless the record is known to fail as a whole."""
        error = self._failures.meet(Cause(record.offset, RECORD))
        if error is None:
            self._events.fold(record)
        else:
            self._outputs.reject(error)

    # --- timers ----------------------------------------------------------------------------------------------------

    def _move(self, now: int) -> None:
        """Move the clock forward."""
        self._piece.now = now
        self._state.move_clock(now)
        self._piece.timers.move(now, self._piece.number)

    def _fire(self) -> None:
        """Fire the timers that are due, in the order (due, user, name)."""
        state, queue, piece = self._state, self._state.due, self._piece
        now, has_campaigns = state.memo.now, bool(piece.versions.campaigns.orders)
        while queue.may_be_due(now) and (entry := queue.first()) is not None and entry[0] <= now:
            self.is_full = len(self.popped) >= self._max_popped
            if not self.is_full and not state.is_next(entry):  # the timer was moved or cancelled since
                self.popped.append(queue.pop())
                continue
            self.is_full |= not self.timers_left
            if self.is_full or piece.number >= self._max_steps:
                piece.timers.end_before(entry)
                raise _PieceFull
            self.popped.append(queue.pop())
            user = state.user(entry[1])
            if has_campaigns and self._passes_turn(user, entry):
                continue
            self.timers_left -= 1
            self._outputs.number = piece.number
            self._fire_one(user, entry)
            piece.number += 1

    def _fire_one(self, user: LiveUser, entry: Entry) -> None:
        """Fire one timer. Whether a timer that decisions set is still set, is decided in the third pass."""
        piece, due = self._piece, entry[0]
        name = self._name_of(user, due)
        if name.startswith(campaign_steps.CAMPAIGN):
            self._take_turn(user, entry, name)
            return
        user.has_changed, user.queued = True, NEVER
        piece.timers.fire(piece.number, entry, name)
        if name in DECIDED or name == REACH:
            decided = piece.begin(user, None, Timer(due, name))
            if piece.versions.conditions is not None:
                campaign_steps.begin(piece, decided)
            piece.agenda.append(decided)
            self._state.schedule(user)
            return
        timer, cause = Timer(due, name), (self._outputs.record.offset, name, *entry)
        if name != ADOPT:
            del user.ledger.timers[0]
        if self._failures.errors and (error := self._failures.meet(Cause(*cause))) is not None:
            self._outputs.reject_timer(user.key, name, error)
            if name == ADOPT:
                clause_steps.give_up(self._piece.versions.conditions, user)
            elif name == CLAUSES and user.lost is None:
                user.lost = piece.number, due
        else:
            try:
                cutoffs = self._state.cutoffs()
                lateness.settle(user.facts, cutoffs.late_before, cutoffs.refused_before)
                seen_ids.forget(user.facts.seen_ids, cutoffs.refused_before)
                step.step_timer(piece, user, timer)
            except Exception as failure:
                raise StepFailed(piece.number, failure, Cause(*cause)) from failure
            piece.has_success = True
            self._outputs.count("timers_fired", name.partition(":")[0])
        self._state.schedule(user)

    def _passes_turn(self, user: LiveUser, entry: Entry) -> bool:
        """Pass over the turn of a user who is not a part of the campaign, and return whether this was one."""
        walks = self._state.walks
        if self._state.adopts_at(user.key, entry[0]) or (order := walks.order_at(user.key, entry[0])) is None:
            return False
        if campaign_steps.has_turn(user, order):
            return False
        walks.take(order, entry)
        return True

    def _take_turn(self, user: LiveUser, entry: Entry, name: str) -> None:
        """Let the turn of a user in a campaign come. The user's own next timer stays in the queue."""
        piece, state, cause = self._piece, self._state, Cause(self._outputs.record.offset, name, *entry)
        order = state.walks.order_at(user.key, entry[0])
        assert order is not None, "a turn without a campaign"
        state.walks.take(order, entry)
        piece.timers.fire(piece.number, entry, name)
        if self._failures.errors and (error := self._failures.meet(cause)) is not None:
            self._outputs.reject_timer(user.key, name, error)
            return
        try:
            step.step_timer(piece, user, Timer(entry[0], name))
        except Exception as failure:
            raise StepFailed(piece.number, failure, cause) from failure
        piece.has_success = True
        state.schedule(user)

    def _name_of(self, user: LiveUser, due: int) -> str:
        """Return the name of the timer that fires; those that decisions set come last."""
        if self._state.adopts_at(user.key, due):
            return ADOPT
        if (order := self._state.walks.order_at(user.key, due)) is not None:
            return f"{campaign_steps.CAMPAIGN}:{order.id}"
        if user.next_timer == due:
            return user.ledger.timers[0].name
        return user.find_due(due) if user.next_decided == due else REACH

    # --- control records -------------------------------------------------------------------------------------------

    def _fold_control(self, record: Record) -> None:
        try:
            control: Control = decode_control(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._require_room()
            self._outputs.number = self._piece.number
            self._outputs.reject_undecodable(error, "a control record")
            return
        memo = self._state.memo
        if isinstance(control, Clock):
            self._require_room()
            if not memo.clock:
                memo.clock = control.clock
                self.control = control
            return
        if not memo.clock:
            memo.clock = "wall"
        now = record.timestamp if memo.clock == "wall" else control.at if isinstance(control, Tick) else 0
        if now > memo.now:
            self._move(now)
        self._fire()
        self._require_room()
        if isinstance(control, UserHistory):
            self._bring_history(control, record)
        elif not isinstance(control, Tick):
            self.control = control

    def _bring_history(self, history: UserHistory, record: Record) -> None:
        """Give a user's clauses their history, unless the user had an event since, or nothing waits for it."""
        piece, state, conditions = self._piece, self._state, self._piece.versions.conditions
        if conditions is None or not conditions.program.pending:
            return
        user, cause = state.user(history.user.encode()), Cause(record.offset, RECORD)
        self._outputs.number = piece.number
        if self._failures.errors and (known := self._failures.meet(cause)) is not None:
            self._outputs.reject(known)
            return
        if user.customer.seen >= history.before:
            return
        try:
            clause_steps.bring(piece, conditions, piece.begin(user, None), history)
        except Exception as error:
            raise StepFailed(piece.number, error, cause) from error
        state.schedule(user)

    def _require_room(self) -> None:
        """End the piece before the control record if it is full. The clock has moved before, as for an event."""
        if self._piece.number >= self._max_steps:
            raise _PieceFull
