"""One run of a lane: read, compute, commit, one batch after the other, until something fails.

A run has one instance of the agent's generator and one committer, and begins with the committed state. It repairs
nothing: any failure ends the run, and the lane begins the next one. All its attributes are present from the beginning
to the end.
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
from stream.engine.fetches import ReadTo
from stream.engine.reports import CommitReport, Phase
from stream.engine.run_reader import RunReader
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
        Called when the run may have become ready for records, or is no longer ready.
    """

    allowed: asyncio.Event
    idle: asyncio.Event
    on_change: Callable[[], None]


class LaneRun:
    """One run of a lane; see the module.

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
        Offset of the first record to read. It is after the restored position if records between the two were deleted.

    Attributes
    ----------
    phase
        ``SEEKING``, ``READING`` or ``WRITING``.
    opened_at
        Time at which the run began, on the monotonic clock.
    committed_at
        Time of the last commit; ``None`` before the first one.
    is_full
        Whether its agent wants no records for now.
    reader
        Reading side of the run.
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
        self.reader = RunReader(assignment, context, control.on_change, start)
        self._effects = EffectRunner(self.wake)
        self._wakeups = Wakeups(
            context.clocks.wall, wakes_agent=spec.has_effects, tick_again_s=context.times.tick_again_s
        )
        self.is_full = False

    def __repr__(self) -> str:
        return (
            f"<LaneRun {self._assignment.name} {self.phase.value} position={self.position} "
            f"read_to={self.reader.read_to} pending={self._effects.pending}>"
        )

    # --- queries of its lane

    @property
    def position(self) -> int:
        """Offset of the next record after the last commit."""
        return self.restored.position

    @property
    def has_pending_effects(self) -> bool:
        """Whether effects have begun whose consequences are not committed."""
        return self._effects.pending > 0

    @property
    def pulse(self) -> object:
        """A value that changes whenever the run makes progress."""
        return self._handed_at, self.reader.read_to, self.position

    def has_committed(self, read: ReadTo) -> bool:
        """Return whether all fetched records are committed: none waits here, and none is on its way."""
        return self.reader.has_taken(read) and self.reader.read_to == self.position

    def wake(self) -> None:
        """Give the agent a batch soon, with or without records."""
        self._wakeups.request()
        self.reader.notify()

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
        """Perform the next necessary step; return a batch if there is one for the agent."""
        reader = self.reader
        if not self._control.allowed.is_set():
            return await self._step_while_paused()
        reader.check_log()
        if reader.needs_seek:
            self.phase = Phase.SEEKING
            await reader.seek()
            self.phase = Phase.READING
        elif self.is_full or not reader.buffered:
            if self._wakeups.is_due:
                return self._empty_batch()
            await self._await_records()
        elif (early_s := reader.early_s) > 0:
            await reader.await_change(early_s)
        else:
            self._wakeups.clear()
            return Batch(self._assignment.topic, self._assignment.tp.partition, reader.take())
        return None

    async def _step_while_paused(self) -> Batch | None:
        if self._effects.has_ended:
            return self._empty_batch(closing=True)
        if self._effects.pending:
            await self.reader.await_change(None)
        else:
            await self._control.allowed.wait()
        return None

    def _empty_batch(self, *, closing: bool = False) -> Batch:
        self._wakeups.wake()
        return Batch(self._assignment.topic, self._assignment.tp.partition, (), closing)

    async def _await_records(self) -> None:
        """Wait for records. Meanwhile, commit the position of batches without outputs, and move the log's clock."""
        is_behind = self.reader.read_to > self.position
        tick_at = self._wakeups.tick_at
        if tick_at is not None and not self._spec.follows_wall_clock(self.restored):
            tick_at = None
        moments = [moment for moment in (tick_at, self._wakeups.due_at) if moment is not None]
        now = self._context.clocks.wall()
        waits = [max(moment - now, 0.0) for moment in moments] + [self._context.times.idle_commit_s] * is_behind
        if await self.reader.await_change(min(waits, default=None)):
            return
        if tick_at is not None and self._context.clocks.wall() >= tick_at:
            await self._write_tick()
        elif is_behind:
            # The agent has asked for the next batch without an output, so only the position has to be committed.
            await self._commit(Outputs(next_due=self._wakeups.next_due, full=self.is_full))

    async def _write_tick(self) -> None:
        tick = encode_control(Tick(at=self._wakeups.tick()))
        with self._writing():
            await self._context.writer.send_to(self._assignment.topic, self._assignment.tp.partition, [tick])

    async def _commit(self, outputs: Outputs) -> None:
        """Commit outputs.

        1. Wait until commits are allowed. Results of effects are committed in any case, because no other process
           knows them.
        2. If there is nothing to commit, only begin the effects.
        3. Write the commit and its checkpoint durably, and begin the effects.
        4. Make the commit visible in the restored state, and schedule the next wake-up.
        5. Report the commit.
        6. Write the broadcasts.
        """
        compute_seconds = self._monotonic() - self._handed_at
        if not self._effects.pending:
            await self._control.allowed.wait()
        self.is_full = outputs.full
        is_behind = self.reader.read_to > self.position
        if self._spec.has_effects and not (is_behind or _has_output(outputs)):
            self._wakeups.next_due = outputs.next_due
            self._begin_effects(outputs)
            return
        began = self._monotonic()
        checkpoint = self.restored.checkpoint(outputs.commit, self.reader.read_to)
        await self._write(outputs, checkpoint)
        self.restored.apply(outputs.commit, checkpoint.position)
        self._wakeups.schedule(outputs.next_due)
        self.committed_at = self._monotonic()
        self.reader.rest(self.committed_at - began)
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
        records, oldest_stamp = self.reader.complete(self.position)
        self._context.observer.committed(
            CommitReport(
                topic=self._assignment.topic,
                records=records,
                seconds=seconds,
                compute_seconds=compute_seconds,
                oldest_stamp=oldest_stamp,
                counts=outputs.counts,
                broadcasts=outputs.after.broadcasts,
            )
        )

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


def _has_output(outputs: Outputs) -> bool:
    commit = outputs.commit
    return bool(commit.records or commit.state or outputs.counts or commit.memo is not None)
