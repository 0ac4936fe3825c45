"""The fold over one partition: its users, its clock, its timers, and the versions in use.

However a log is cut into batches, its state and its outputs are the same bytes. Records are applied one by one, in the
order of the log. Each record first moves the clock, then fires the timers that are due, and then changes its user.

A record may make very many timers due. Then the timers fire in several slices, and each slice is committed before the
next one begins. Until the last slice, the clock has moved, but the record is not folded. A process that continues from
there fires the remaining timers and then folds the record.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from models.batch import Batch, Output, Outputs, Record, Restored
from models.delivery.notices import HOLD_KEY, ChannelPaused, encode_notice
from models.errors import InvalidConfiguration, StateMismatch
from models.events import CHANNELS
from models.fold import step
from models.fold.event_fold import EventFold
from models.fold.partition_state import PartitionState
from models.fold.slice import Slice, Unfoldable
from models.fold.versions import Versions
from models.log import Clock, Instruction, Tick, Use, decode_control, is_control
from models.profile import lateness, seen_ids
from models.profile.ledger import Timer
from models.profile.state import Customer

MAX_TIMERS = 2_000
"""Maximum number of timers fired per slice; keeps one commit below about 170 ms of work."""

MAX_LIVE_USERS = 4_096
"""Maximum number of decoded users cached between the slices of a batch, which often touch the same users.

They are dropped after the batch to free memory, because decoding them again is cheap.
"""


class PartitionFold:
    """The fold of one partition.

    Parameters
    ----------
    state
        The committed state. It is only read. The caller applies the state of the outputs to it before the next batch.

    Raises
    ------
    StateMismatch
        The state was written under another schema.
    """

    def __init__(self, state: Restored) -> None:
        self._state = PartitionState(state)

    def __repr__(self) -> str:
        """Show the state."""
        return f"PartitionFold({self._state!r})"

    @property
    def now(self) -> int:
        """The partition's clock, milliseconds."""
        return self._state.memo.now

    @property
    def clock(self) -> str:
        """``wall`` or ``feeder``; empty before the first record."""
        return self._state.memo.clock

    @property
    def versions(self) -> Versions:
        """The versions in use."""
        return self._state.versions

    @property
    def scheduled(self) -> int:
        """Number of entries in the queue of timers."""
        return len(self._state.due)

    def fold(self, batch: Batch) -> Outputs:
        """Fold consecutive records in a single slice, however many timers they make due; see :meth:`slices`."""
        return next(self.slices(batch, max_timers=sys.maxsize))

    def slices(self, batch: Batch, max_timers: int = MAX_TIMERS) -> Iterator[Outputs]:
        """Fold consecutive records, in one slice or, if many timers have come due, in several.

        Each slice except the last gives the offset of the next record to read. The caller applies its state before it
        asks for the next slice.

        An event or timer that cannot be folded becomes a dead letter, and its changes are undone. For that, the slice
        is folded again, with a copy of the user's state taken before each step.

        Raises
        ------
        FoldBroken
            A hundred events or timers in a row have failed.
        """
        begin = 0
        while begin < len(batch.records):
            attempt = _Attempt(self._state, batch, max_timers, careful=False)
            try:
                begin = attempt.run(begin)
            except Unfoldable:
                attempt.abandon()
                attempt = _Attempt(self._state, batch, max_timers, careful=True)
                begin = attempt.run(begin)
            is_whole = begin == len(batch.records)
            outputs = attempt.finish(0 if is_whole else MAX_LIVE_USERS)
            if not is_whole:
                outputs.commit.position = batch.records[begin].offset
            yield outputs


class _SliceFull(Exception):
    """The signal that timers are due, but that no more may fire before a commit."""


class _Attempt:
    """One attempt to fold a slice of a batch.

    Parameters
    ----------
    state
        The partition's state, changed in place.
    batch
        The batch.
    max_timers
        Maximum number of timers fired.
    careful
        See :class:`Slice`.
    """

    def __init__(self, state: PartitionState, batch: Batch, max_timers: int, *, careful: bool) -> None:
        self._state = state
        self._records = batch.records
        self._slice = Slice(state, batch, careful=careful)
        self._events = EventFold(state, self._slice)
        self._timers_left = max_timers
        self._popped: list[tuple[int, bytes]] = []

    def run(self, begin: int) -> int:
        """Fold the records from index ``begin`` on, and return the index of the first record that is not folded."""
        records, into, memo, due = self._records, self._slice, self._state.memo, self._state.due
        fold_event = self._events.fold
        index = begin
        try:
            for index in range(begin, len(records)):
                record = into.record = records[index]
                if is_control(record.key):
                    self._fold_control(record)
                    continue
                if not memo.clock:
                    memo.clock = "wall"
                if memo.clock == "wall" and record.timestamp > memo.now:
                    memo.now = record.timestamp
                if due.may_be_due(memo.now):
                    self._fire()
                fold_event(record)
        except _SliceFull:
            return index
        return len(records)

    def finish(self, max_live: int) -> Outputs:
        """Return the slice's outputs, and keep at most this many decoded users cached."""
        return self._slice.finish(max_live)

    def abandon(self) -> None:
        """Restore the committed state, and put the timers that this attempt has removed back into the queue."""
        for entry in self._popped:
            self._state.due.add(*entry)
        self._state.reload()

    # --- timers ----------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        """Move the clock forward to ``now``, and fire the timers that are due then."""
        if now > self._state.memo.now:
            self._state.memo.now = now
        self._fire()

    def _fire(self) -> None:
        """Fire the timers that are due, in the order (due, user, name)."""
        state, queue = self._state, self._state.due
        now = state.memo.now
        while queue.may_be_due(now) and (entry := queue.first()) is not None and entry[0] <= now:
            self._popped.append(queue.pop())
            due, key = entry
            customer = state.customer(key)
            if customer.next_due != due:  # the timer was moved or cancelled since
                continue
            if not self._timers_left:
                queue.add(*self._popped.pop())
                raise _SliceFull
            self._timers_left -= 1
            timer = customer.ledger.timers.pop(0)
            self._slice.touched[key] = None
            state.schedule(key, self._fire_one(key, customer, timer))

    def _fire_one(self, key: bytes, customer: Customer, timer: Timer) -> Customer:
        """Fire one timer, and return its user; after a failure, the user is a new object."""
        into, cutoffs = self._slice, self._state.cutoffs()
        before = into.begin(key.decode(), customer)
        try:
            lateness.settle(customer.facts, cutoffs.late_before, cutoffs.refused_before)
            seen_ids.forget(customer.facts.seen_ids, cutoffs.refused_before)
            step.step_timer(into.step, timer)
            into.emit(key)
        except Exception as error:  # noqa: BLE001 - whatever it raises, this timer alone is the cause
            customer = into.undo(key, before, error)
            into.reject_timer(key, timer.name, error)
        else:
            self._state.memo.failing = 0
            into.count("timers_fired", timer.name.partition(":")[0])
        return customer

    # --- control records -------------------------------------------------------------------------------------------

    def _fold_control(self, record: Record) -> None:
        try:
            control = decode_control(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._slice.reject_undecodable(error, "a control record")
            return
        memo = self._state.memo
        if isinstance(control, Clock):
            if not memo.clock:
                memo.clock = control.clock
            return
        if not memo.clock:
            memo.clock = "wall"
        if memo.clock == "wall":
            self._advance(record.timestamp)
        elif isinstance(control, Tick):
            self._advance(control.at)
        else:
            self._fire()
        if isinstance(control, Use):
            self._use(control)
        elif isinstance(control, Instruction):
            self._follow(control)

    def _use(self, control: Use) -> None:
        content = bytes(control.content)
        try:
            is_used = self._state.use(control.name, control.version, content)
        except (InvalidConfiguration, StateMismatch, msgspec.DecodeError) as error:
            self._slice.reject(error)
            return
        if is_used:
            self._slice.store_version(control.name, content)

    def _follow(self, instruction: Instruction) -> None:
        """Pause or resume the channel that an instruction names.

        Messages that were decided before a pause wait in the channel's queue.
        """
        paused = self._state.versions.paused
        if instruction.name == "pause":
            paused.add(instruction.argument)
        elif instruction.name == "resume":
            paused.discard(instruction.argument)
        else:
            return
        if instruction.argument in CHANNELS:
            hold = encode_notice(ChannelPaused(paused=instruction.name == "pause"))
            self._slice.add(Output(f"messages.{instruction.argument}", HOLD_KEY, hold))
