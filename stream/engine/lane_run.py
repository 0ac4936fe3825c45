"""One run of a lane: read, compute, commit, one batch after the other, until something fails.

A run has one instance of the agent's generator and one committer, and begins with the committed state. It repairs
nothing: what fails ends the run, and its lane begins the next one. All its attributes are present from the beginning to
the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from models.batch import Batch, Checkpoint, Outputs, Restored
from models.log import EVENTS, Tick, encode_control
from stream.engine.committers import Committer
from stream.engine.context import Assignment, LaneContext
from stream.engine.effects import EffectRunner
from stream.engine.errors import LogEndsBefore, PositionOutOfRange
from stream.engine.fetch_buffer import FetchBuffer
from stream.engine.fetches import Fetch, ReadTo
from stream.engine.reports import CommitReport, Phase
from stream.engine.wakeups import Wakeups

logger = logging.getLogger(__name__)


class AgentEnded(RuntimeError):
    """An agent returned, although it must read until it is closed."""


@dataclass(frozen=True, slots=True)
class RunControl:
    """Everything that a lane and its run share.

    Attributes
    ----------
    allowed
        Set while commits may begin and records may be read. It is not set while partitions are being reassigned.
    idle
        Set while no commit is in progress, and no effect is pending.
    on_change
        Called when the run may have become ready for records, or is no longer so.
    """

    allowed: asyncio.Event
    idle: asyncio.Event
    on_change: Callable[[], None]


class LaneRun:
    """See the module.

    Parameters
    ----------
    assignment
        The partition and its agent.
    context
        Everything that all lanes of the process share.
    control
        Everything that the lane and this run share.
    committer
        Owner of the partition.
    restored
        Committed state; kept current here.
    start
        Offset of the first record to read. It is after the restored position if records between were deleted.

    Attributes
    ----------
    phase
        ``SEEKING``, ``READING`` or ``WRITING``.
    opened_at
        When the run began, on the monotonic clock.
    committed_at
        When it committed last; ``None`` before.
    """

    def __init__(
        self,
        assignment: Assignment,
        context: LaneContext,
        control: RunControl,
        committer: Committer,
        restored: Restored,
        start: int,
    ) -> None:
        self.restored = restored
        self.phase = Phase.SEEKING
        self.opened_at = self._handed_at = context.clocks.monotonic()
        self.committed_at: float | None = None
        self._assignment = assignment
        self._spec = spec = assignment.spec
        self._context = context
        self._monotonic = context.clocks.monotonic
        self._control = control
        self._committer = committer
        self._buffer = FetchBuffer(assignment.tp, max_records=2 * spec.max_records)
        self._effects = EffectRunner(self.wake)
        self._wakeups = Wakeups(
            context.clocks.wall, wakes_agent=spec.has_effects, tick_again_s=context.times.tick_again_s
        )
        self._read_to = start
        self._records_read = 0
        self._oldest_stamp: int | None = None
        self._next_batch_at = 0.0
        self._is_full = False
        self._needs_seek = True
        self._out_of_range_epoch: int | None = None
        self._error: LogEndsBefore | None = None

    def __repr__(self) -> str:
        return (
            f"<LaneRun {self._assignment.name} {self.phase.value} position={self.position} read_to={self._read_to} "
            f"pending={self._effects.pending}>"
        )

    # --- what its lane asks

    @property
    def position(self) -> int:
        """Offset of the next record after the last commit."""
        return self.restored.position

    @property
    def is_steady(self) -> bool:
        """Whether it has lasted longer than any answer of a broker can take."""
        return self._monotonic() - self.opened_at > self._context.times.steady_s

    @property
    def is_ready(self) -> bool:
        """Whether it can take more records now."""
        return not self._needs_seek and self.phase is not Phase.SEEKING and not self._buffer.full

    @property
    def is_full(self) -> bool:
        """Whether its agent wants no records for now."""
        return self._is_full

    @property
    def has_pending_effects(self) -> bool:
        """Whether effects have begun whose consequences are not committed."""
        return self._effects.pending > 0

    @property
    def waiting_records(self) -> int:
        """Number of fetched records that the agent has not received."""
        return self._buffer.waiting

    @property
    def pulse(self) -> object:
        """A value that changes whenever the run moves."""
        return self._handed_at, self._read_to, self.position

    def has_committed(self, read: ReadTo) -> bool:
        """Return whether all fetched records are committed: none waits here, and none is on its way."""
        return self._buffer.has_taken(read.epoch, read.sequence) and self._read_to == self.position

    # --- what its lane tells it

    def put(self, fetch: Fetch) -> None:
        """Add fetched records."""
        try:
            complete = self._buffer.put(fetch)
        except LogEndsBefore as error:
            self._error = error
            self._buffer.changed.set()
            return
        if not complete:
            logger.warning(
                "%s: a fetch was lost on its way; reading again from %d", self._assignment.name, self._read_to
            )
            self.request_seek()
        elif self._buffer.full:
            self._control.on_change()

    def request_seek(self) -> None:
        """Move the consumer to the position again before anything else is read."""
        self._needs_seek = True
        self._buffer.changed.set()
        self._control.on_change()

    def report_out_of_range(self, epoch: int) -> None:
        """Record that the log held nothing at the position, in the fetches of ``epoch``."""
        self._out_of_range_epoch = epoch
        self._buffer.changed.set()

    def wake(self) -> None:
        """Give the agent a batch soon, with or without records."""
        self._wakeups.request()
        self._buffer.changed.set()

    # --- the run itself

    async def run(self) -> NoReturn:
        """Drive the agent until something fails; raise what failed."""
        async with contextlib.aclosing(self._batches()) as batches:
            agent = self._spec.agent(self.restored, self.wake)(batches)
            try:
                async for outputs in agent:
                    await self._commit(outputs)
            finally:
                if isinstance(agent, AsyncGenerator):
                    await agent.aclose()
        raise AgentEnded(f"the agent {self._spec.name} ended; an agent reads until it is closed")

    async def close(self) -> None:
        """Cancel the effects, and become idle: nothing more is committed."""
        await self._effects.close()
        self._control.idle.set()

    async def _batches(self) -> AsyncGenerator[Batch]:
        while True:
            batch = await self._step()
            if batch is None:
                continue
            if self._effects.has_ended:
                batch = batch._replace(ended=self._effects.hand_over())
            self._handed_at = self._monotonic()
            yield batch
            # The agent asks for the next batch once everything that follows from the results of this one is committed.
            self._effects.confirm()
            self._become_idle()

    async def _step(self) -> Batch | None:
        """Do the next thing that is necessary; return a batch if there is one for the agent."""
        if not self._control.allowed.is_set():
            return await self._step_while_paused()
        if self._error is not None:
            raise self._error
        if self._needs_seek:
            await self._seek()
        elif self._out_of_range_epoch == self._buffer.epoch:
            raise PositionOutOfRange(self._assignment.tp.topic, self._assignment.tp.partition)
        elif self._is_full or not self._buffer.waiting:
            if self._wakeups.is_due:
                return self._empty_batch()
            await self._await_records()
        elif not self._buffer.full and (early := self._next_batch_at - self._monotonic()) > 0:
            await self._await_change(early)
        else:
            return self._take_batch()
        return None

    async def _step_while_paused(self) -> Batch | None:
        if self._effects.has_ended:
            return self._empty_batch(closing=True)
        if self._effects.pending:
            await self._await_change(None)
        else:
            await self._control.allowed.wait()
        return None

    def _take_batch(self) -> Batch:
        self._wakeups.clear()
        was_full = self._buffer.full
        records = self._buffer.take(self._spec.max_records)
        if was_full:
            self._control.on_change()
        self._read_to = records[-1].offset + 1
        self._records_read += len(records)
        self._next_batch_at = self._monotonic() + self._spec.pace_s
        if self._oldest_stamp is None:
            self._oldest_stamp = records[0].timestamp
        return Batch(self._assignment.topic, self._assignment.tp.partition, records)

    def _empty_batch(self, *, closing: bool = False) -> Batch:
        self._wakeups.wake()
        return Batch(self._assignment.topic, self._assignment.tp.partition, (), closing)

    async def _seek(self) -> None:
        # A rebalance in the middle of the seek requests another one.
        self._needs_seek, self.phase = False, Phase.SEEKING
        epoch = await self._context.fetcher.seek(self._assignment.tp, self._read_to)
        self.phase = Phase.READING
        self._buffer.reset(epoch, self._read_to)
        self._control.on_change()

    async def _await_records(self) -> None:
        """Wait for records. Meanwhile, commit the position of batches without outputs, and move the log's clock."""
        is_behind = self._read_to > self.position
        tick_at = self._wakeups.tick_at
        if tick_at is not None and not self._spec.follows_wall_clock(self.restored):
            tick_at = None
        moments = [moment for moment in (tick_at, self._wakeups.due_at) if moment is not None]
        now = self._context.clocks.wall()
        waits = [max(moment - now, 0.0) for moment in moments] + [self._context.times.idle_commit_s] * is_behind
        if await self._await_change(min(waits, default=None)):
            return
        if tick_at is not None and self._context.clocks.wall() >= tick_at:
            await self._write_tick()
        elif is_behind:
            # The agent asked for the next batch and yielded nothing, so nothing of the last batches is to be kept.
            await self._commit(Outputs(next_due=self._wakeups.next_due, full=self._is_full))

    async def _await_change(self, timeout_s: float | None) -> bool:
        """Wait until something happens; return whether it did within the time."""
        self._buffer.changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._buffer.changed.wait()
        except TimeoutError:
            return False
        return True

    async def _write_tick(self) -> None:
        tick = encode_control(Tick(at=self._wakeups.tick()))
        with self._writing():
            await self._context.writer.send_to(self._assignment.topic, self._assignment.tp.partition, [tick])

    async def _commit(self, outputs: Outputs) -> None:
        """Commit outputs.

        1. Wait until commits are allowed. Results of effects are committed even if they are not, because no other
           process knows them.
        2. If there is nothing to commit, only begin the effects.
        3. Write the commit and its checkpoint durably, and begin the effects.
        4. Make the commit visible in the restored state, and schedule the next wake-up.
        5. Report the commit.
        6. Write the broadcasts.
        """
        compute_seconds = self._monotonic() - self._handed_at
        if not self._effects.pending:
            await self._control.allowed.wait()
        self._is_full = outputs.full
        if self._spec.has_effects and self._has_nothing_to_commit(outputs):
            self._wakeups.next_due = outputs.next_due
            self._begin_effects(outputs)
            return
        began = self._monotonic()
        checkpoint = self.restored.checkpoint(outputs.commit, self._read_to)
        await self._write(outputs, checkpoint)
        self.restored.apply(outputs.commit, checkpoint.position)
        self._wakeups.schedule(outputs.next_due)
        self.committed_at = self._monotonic()
        self._report(outputs, self.committed_at - began, compute_seconds)
        if outputs.after.broadcasts:
            with self._writing():
                await self._context.writer.send_everywhere(EVENTS, list(outputs.after.broadcasts))

    async def _write(self, outputs: Outputs, checkpoint: Checkpoint) -> None:
        """Make a commit durable, then begin the effects that follow; between the two the lane is not idle."""
        self._control.idle.clear()
        try:
            with self._writing():
                await self._committer.commit(outputs.commit, checkpoint)
            self._begin_effects(outputs)
        finally:
            self._become_idle()

    def _begin_effects(self, outputs: Outputs) -> None:
        if outputs.after.effects:
            self._control.idle.clear()
            self._effects.begin(outputs.after.effects)

    def _report(self, outputs: Outputs, seconds: float, compute_seconds: float) -> None:
        is_whole = self.position == self._read_to  # records are counted by the commit that completes their batch
        self._context.observer.committed(
            CommitReport(
                topic=self._assignment.topic,
                records=self._records_read if is_whole else 0,
                seconds=seconds,
                compute_seconds=compute_seconds,
                oldest_stamp=self._oldest_stamp,
                counts=outputs.counts,
                broadcasts=outputs.after.broadcasts,
            )
        )
        if is_whole:
            self._records_read, self._oldest_stamp = 0, None

    def _has_nothing_to_commit(self, outputs: Outputs) -> bool:
        commit = outputs.commit
        has_output = commit.records or commit.state or outputs.counts or commit.memo is not None
        return not has_output and self._read_to == self.position

    def _become_idle(self) -> None:
        if not self._effects.pending:
            self._control.idle.set()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        before, self.phase = self.phase, Phase.WRITING
        try:
            yield
        finally:
            self.phase = before
