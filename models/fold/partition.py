"""The fold over one partition: its users, its clock, its timers, and the versions in use.

However a log is cut into batches, its state and its outputs are the same bytes. Records have the order of the log. Each
record first moves the clock, then fires the timers that are due, and then changes its user. The work is done in pieces
of the log, and in three passes over each piece (:mod:`models.fold.piece`).

A record may make very many timers due. Then the timers fire in several slices, and each slice is committed before the
next one begins. Until the last slice, the clock has moved, but the record is not folded. A process that continues from
there fires the remaining timers and then folds the record.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from models.batch import Batch, Output, Outputs, Record, Restored
from models.delivery.notices import HOLD_KEY, ChannelPaused, encode_notice
from models.events import CHANNELS
from models.fold.campaign_walks import CURSOR_KEY
from models.fold.campaigns_in_use import CAMPAIGNS_KEY
from models.fold.conditions_in_use import CONDITIONS_KEY, AskedConditions
from models.fold.decisions_pass import DecisionsPass
from models.fold.facts_pass import EndingControl, FactsPass, Limits
from models.fold.failures import MAX_FAILURES, FoldBroken, StepFailed
from models.fold.journeys_in_use import JOURNEYS_KEY
from models.fold.known_failures import BEFORE_ALL, KnownFailures
from models.fold.memo import content_key, encode_memo
from models.fold.partition_state import PartitionState, count_engagement
from models.fold.piece import Piece
from models.fold.piece_outputs import PieceOutputs
from models.fold.piece_timers import PieceTimers
from models.fold.scoring import scores_of
from models.fold.split_fold import SplitFold
from models.fold.versions import CONFIGURATION, POPULATION, Versions
from models.identity.splitting import LeftOut
from models.levels import LEVEL, require_known
from models.log import (
    BringHistory,
    CampaignOrder,
    Clock,
    HistoryComplete,
    Instruction,
    JourneyOrders,
    ProfileSplit,
    Use,
)

MAX_TIMERS = 2_000
"""Maximum number of timers fired per slice, apart from releases within a piece; bounds the work of one commit."""

MAX_STEPS = 1_000
"""Maximum number of records and timers of a piece; a piece's users and rows should stay in the processor's cache."""

MAX_STEPS_AFTER_FAILURE = 16
"""Maximum number of records and timers of a piece after a failure; each piece that succeeds doubles it.

A failure repeats the work of its piece. In small pieces, many failures cost little more than the work itself.
"""


class PartitionFold:
    """The fold of one partition.

    Parameters
    ----------
    state
        The committed state. It is only read. The caller applies the state of the outputs to it before the next batch.
    max_steps
        Maximum number of records and timers of a piece; it changes no result.
    watched
        Conditions that are folded instead of those of the configurations in the log, without their rules.
    left_out
        Links between two profiles that are left out: both are folded as if they had never been linked by them.

    Raises
    ------
    StateMismatch
        The state was written under another schema.
    """

    def __init__(
        self,
        state: Restored,
        max_steps: int = MAX_STEPS,
        watched: AskedConditions | None = None,
        left_out: LeftOut | None = None,
    ) -> None:
        self._state = PartitionState(state)
        self._state.left_out = left_out
        if watched is not None:
            self._state.versions.watch(watched)
        self._max_steps = max_steps

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

        An event or timer that cannot be folded becomes a dead letter, and it changes nothing. For that, its piece is
        folded again up to there and without it, and the next piece begins behind it.

        Raises
        ------
        FoldBroken
            A hundred events or timers in a row have failed.
        UnknownLevel
            The log is raised to a format level that this code does not know. Start again with the committed state.
        """
        begin = 0
        while begin < len(batch.records):
            one = _Slice(self._state, batch, max_timers, self._max_steps)
            begin = one.run(begin)
            outputs = one.finish()
            if begin < len(batch.records):
                outputs.commit.position = batch.records[begin].offset
            yield outputs


class _CauseUnknown(Exception):
    """The signal that one of the steps of a piece has failed, and it is not known which one."""


class _Slice:
    """One slice of a batch: the pieces that are committed together.

    Parameters
    ----------
    state
        The partition's state, changed in place.
    batch
        The batch.
    max_timers
        Maximum number of timers fired.
    max_steps
        Maximum number of steps of a piece.
    """

    def __init__(self, state: PartitionState, batch: Batch, max_timers: int, max_steps: int) -> None:
        self._state = state
        self._batch = batch
        self._timers_left = max_timers
        self._max_steps = self._steps = max_steps
        self._failures = KnownFailures()
        self._outputs = Outputs()
        self._contents: dict[bytes, bytes | None] = {}
        self._is_full = False

    def run(self, begin: int) -> int:
        """Fold the records from index ``begin`` on, and return the index of the first record that is not folded."""
        while begin < len(self._batch.records):
            try:
                begin, is_full = self._fold_piece(begin)
            except StepFailed as failed:
                self._shorten(failed)
                continue
            except _CauseUnknown:
                self._failures.forget()
                self._steps = 1  # the only step of a piece is the cause
                continue
            self._steps = min(2 * self._steps, self._max_steps)
            if is_full:
                self._is_full = True
                break
        return begin

    def finish(self) -> Outputs:
        """Return the slice's outputs."""
        outputs, state = self._outputs, self._state
        outputs.next_due = state.next_due()
        outputs.commit.state = state.take_changes()
        if state.versions.campaigns.orders:
            self._contents[CURSOR_KEY] = state.walks.cursor() if self._is_full else None
        outputs.commit.state.update(self._contents)
        state.memo.numbers = state.versions.numbers
        state.memo.paused = sorted(state.versions.paused)
        outputs.commit.memo = encode_memo(state.memo)
        return outputs

    def _shorten(self, failed: StepFailed) -> None:
        """Let the next attempt end with the step that has failed, and reject that step."""
        if self._steps > MAX_STEPS_AFTER_FAILURE and not self._failures.errors:
            self._steps = MAX_STEPS_AFTER_FAILURE  # so that little work is repeated for this failure and the next
            if failed.number >= MAX_STEPS_AFTER_FAILURE:
                return
        self._failures.add(failed)

    def _fold_piece(self, begin: int) -> tuple[int, bool]:
        """Fold one piece in three passes.

        Parameters
        ----------
        begin
            Index of its first record.

        Returns
        -------
        tuple of int and bool
            The index of the first record that is not folded, and whether no more timers may fire in the slice.
        """
        state, batch, failures = self._state, self._batch, self._failures
        before, conditions = state.begin_piece(), state.versions.conditions
        waiting = 0 if conditions is None else conditions.waiting
        failures.begin()
        outputs = PieceOutputs(batch, state.memo)
        timers = PieceTimers(
            batch.records, begin, state.memo.now, BEFORE_ALL if self._steps == 1 else failures.ends_before
        )
        piece = Piece(state.versions, outputs, state.memo.now, timers)
        piece.members, piece.walks = state.members, state.walks
        facts = FactsPass(state, piece, Limits(min(self._steps, failures.max_steps), self._timers_left), failures)
        end = -1
        try:
            end = facts.run(batch.records, begin)
            if piece.rows or piece.agenda:
                DecisionsPass(piece, scores_of(piece), failures).run()
            state.store_users()
            state.members.move(piece.moves)
            state.stages.count(piece.stages)
            count_engagement(state, piece)
        except Exception as error:
            for entry in facts.popped:
                state.due.add(*entry)
            state.abandon_piece(before)
            if isinstance(error, StepFailed) or end < 0 or not piece.number:
                raise
            if self._steps > 1:
                raise _CauseUnknown from error
            raise StepFailed(0, error, piece.first_cause()) from error
        finally:
            piece.drop_tasks()
        self._count_failures(has_success=piece.has_success)
        self._take(outputs)
        if conditions is not None:
            if piece.completes_conditions:
                conditions.is_complete, conditions.waiting = True, 0
            if piece.completes_conditions or conditions.waiting != waiting:
                self._store_conditions()
        if piece.completes_orders:
            state.reaching.complete()
            self._contents[JOURNEYS_KEY] = state.versions.journeys.encode()
        self._timers_left = facts.timers_left
        if facts.control is not None:
            self._follow(facts.control, outputs.record)
        return end, facts.is_full

    def _count_failures(self, *, has_success: bool) -> None:
        """Count the failures in a row, after a piece that ends with them."""
        memo, newest = self._state.memo, next(reversed(self._failures.errors.values()), None)
        number = self._failures.finish()
        memo.failing = number if has_success else memo.failing + number
        if newest is not None and memo.failing >= MAX_FAILURES:
            said = f"{type(newest).__name__}: {newest}"
            raise FoldBroken(
                f"{MAX_FAILURES} events and timers in a row could not be folded; the newest error: {said}"
            ) from newest

    def _take(self, outputs: PieceOutputs) -> None:
        self._outputs.commit.records.extend(outputs.merged())
        counts = self._outputs.counts
        for name, count in outputs.totals.items():
            counts[name] = counts.get(name, 0.0) + count

    # --- versions and instructions ----------------------------------------------------------------------------------

    def _follow(self, control: EndingControl, record: Record) -> None:
        """Follow a control record that has ended a piece."""
        if isinstance(control, Instruction):
            self._obey(control)
        elif isinstance(control, BringHistory | HistoryComplete):
            self._state.follow_history(control)
            self._store_conditions()
        elif isinstance(control, CampaignOrder):
            self._follow_order(control, record)
        elif isinstance(control, JourneyOrders):
            self._state.reaching.follow(control, self._state.keys, self._state.memo.now)
            if self._state.versions.journeys:
                self._contents[JOURNEYS_KEY] = self._state.versions.journeys.encode()
        elif isinstance(control, ProfileSplit):
            self._split(control, record)
        elif isinstance(control, Clock):
            self._raise_level(control.level, record)
        elif control.name == LEVEL:
            self._raise_level(control.version, record)
        else:
            self._use(control, record)

    def _raise_level(self, level: int, record: Record) -> None:
        """Write in a format level from here on, unless the same or a higher one is in use."""
        if level > self._state.versions.level:
            require_known(f"{self._batch.topic}-{self._batch.partition} at offset {record.offset}", level)
            self._state.use(LEVEL, level, b"")

    def _use(self, control: Use, record: Record) -> None:
        content, had_journeys = bytes(control.content), bool(self._state.versions.journeys)
        try:
            is_used = self._state.use(control.name, control.version, content)
        except Exception as error:  # noqa: BLE001 - a version that stops the fold could never be replaced
            self._reject(record, error)
            return
        if not is_used:
            return
        self._contents[content_key(control.name)] = content
        if control.name in (CONFIGURATION, POPULATION):
            self._store_conditions()
        if had_journeys or self._state.versions.journeys:
            self._contents[JOURNEYS_KEY] = self._state.versions.journeys.encode()
        if self._state.versions.campaigns.orders:
            self._contents[CAMPAIGNS_KEY] = self._state.versions.campaigns.encode()

    def _follow_order(self, control: CampaignOrder, record: Record) -> None:
        """Start, pause, resume or cancel a campaign."""
        state, before = self._state, self._state.versions.campaigns
        try:
            for entry in state.walks.follow(control, state.memo.now, state.keys()):
                state.due.add(*entry)
        except Exception as error:  # noqa: BLE001 - a record of which the fold cannot get rid would stop the lane
            self._reject(record, error)
        if state.versions.campaigns is not before:
            state.campaigns.keep(order.id for order in state.versions.campaigns.orders)
            self._contents[CAMPAIGNS_KEY] = state.versions.campaigns.encode()

    def _split(self, control: ProfileSplit, record: Record) -> None:
        """End a link in one profile."""
        state, conditions = self._state, self._state.versions.conditions
        waiting = 0 if conditions is None else conditions.waiting
        before, work = state.begin_piece(), SplitFold(state, record, control)
        try:
            outcome = work.run()
            state.store_users()
        except Exception as error:  # noqa: BLE001 - a record of which the fold cannot get rid would stop the lane
            state.abandon_piece(before)
            self._reject(record, error)
            return
        state.members.move(work.moves)
        state.stages.count(work.stages)
        if conditions is not None and conditions.waiting != waiting:
            self._store_conditions()
        self._outputs.commit.records.extend(work.outputs)
        if outcome:
            counts, name = self._outputs.counts, ("identity_records", outcome)
            counts[name] = counts.get(name, 0.0) + 1.0

    def _reject(self, record: Record, error: Exception) -> None:
        """Write a dead letter for a control record that has ended a piece."""
        outputs = PieceOutputs(self._batch, self._state.memo)
        outputs.record = record
        outputs.reject(error)
        self._take(outputs)

    def _store_conditions(self) -> None:
        conditions = self._state.versions.conditions
        if conditions is not None:
            self._contents[CONDITIONS_KEY] = conditions.encode()

    def _obey(self, instruction: Instruction) -> None:
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
            self._outputs.commit.records.append(Output(f"messages.{instruction.argument}", HOLD_KEY, hold))
