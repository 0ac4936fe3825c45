"""A lane processes one partition exactly once: it takes the partition over, runs, and begins again after a failure.

The steps of :meth:`Lane._open_and_run` are: wait for the assignment, shut the previous owner out, restore the committed
state, compare it with the log, run (:mod:`stream.engine.lane_run`). Any failure ends the run. The next run begins
with the committed state; nothing is repaired. A lane that another owner has fenced begins no further run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiokafka.errors import KafkaError, ProducerFenced

from models.batch import Restored
from models.levels import UnknownLevel
from stream.cluster.writer import ANSWER_WITHIN_S
from stream.engine.committers import Committer
from stream.engine.context import Assignment, LaneContext
from stream.engine.errors import LogEndsBefore, PositionOutOfRange, RecordsGone
from stream.engine.fetches import Fetch, ReadTo
from stream.engine.lane_run import LaneRun, RunControl
from stream.engine.reports import LaneReport, Phase

logger = logging.getLogger(__name__)

_EXPECTED = (KafkaError, OSError, TimeoutError, asyncio.CancelledError, LogEndsBefore, PositionOutOfRange, UnknownLevel)
"""Errors of brokers, logs and releases: a stack trace would say nothing about them."""


class _PausedWhileFencing(Exception):
    """Fencing was interrupted by a rebalance.

    The partition may have a new owner, so do not fence before the assignment is known.
    """


class Lane:
    """Supervise the runs of one partition: begin, retry, pause and report.

    Parameters
    ----------
    assignment
        The partition and its agent.
    context
        Everything that all lanes of the process share.
    new_committer
        Makes a committer for each run.
    """

    def __init__(self, assignment: Assignment, context: LaneContext, new_committer: Callable[[], Committer]) -> None:
        self._assignment = assignment
        self._context = context
        self._new_committer = new_committer
        self._control = RunControl(asyncio.Event(), asyncio.Event(), self._report_ready)
        self._control.allowed.set()
        self._control.idle.set()
        self._run: LaneRun | None = None
        self._phase = Phase.WAITING
        self._failures = 0
        self._committed_at = context.clocks.monotonic()
        self._fencing: asyncio.Timeout | None = None
        self._is_ready = False
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Lane {self._assignment.name} {self.phase.value} position={self.position} failures={self.failures}>"

    # --- queries

    @property
    def phase(self) -> Phase:
        """Current phase of the lane."""
        return self._phase if self._run is None else self._run.phase

    @property
    def is_open(self) -> bool:
        """Whether the lane has its state, and can commit."""
        return self._run is not None

    @property
    def is_ready(self) -> bool:
        """Whether the lane can take more records now."""
        return self._control.allowed.is_set() and self._run is not None and self._run.reader.is_ready

    @property
    def is_full(self) -> bool:
        """Whether the lane's agent takes no records for now, because it must first process those that it has."""
        return self._run is not None and self._run.is_full

    @property
    def has_pending_effects(self) -> bool:
        """Whether effects have begun whose consequences are not committed."""
        return self._run is not None and self._run.has_pending_effects

    @property
    def waiting_on_dependency(self) -> bool:
        """Whether the lane waits on something with its own timeout; see :attr:`LaneReport.waiting_on_dependency`.

        Calls in flight do not count, because a lane continues meanwhile. A failure of long ago does not count either.
        """
        if self.failures:
            return True
        if self._run is None:
            return self._assignment.spec.has_state
        return self._run.is_full or self._run.phase is Phase.WRITING

    @property
    def failures(self) -> int:
        """Number of consecutive runs that ended early and without a commit."""
        run = self._run
        return 0 if run is not None and (run.committed_at is not None or self._is_steady(run)) else self._failures

    @property
    def committed_at(self) -> float:
        """Time of the last commit, or of the last opening if it came later and after no failure, monotonic clock.

        A lane that fails again and again makes no progress, however often it is opened.
        """
        run = self._run
        return self._committed_at if run is None or run.committed_at is None else run.committed_at

    @property
    def position(self) -> int | None:
        """Offset of the next record after the last commit; ``None`` while nothing is restored."""
        return None if self._run is None else self._run.position

    @property
    def restored(self) -> Restored | None:
        """Committed state, to be read only; ``None`` while nothing is restored."""
        return None if self._run is None else self._run.restored

    def report(self, read: ReadTo | None) -> LaneReport:
        """Return the state of the lane; ``read`` is the consumer's progress in its partition."""
        run, position = self._run, self.position
        # A transactional topic ends with a marker, which no lane ever sees. So a marker alone must not count as lag.
        reached = read.position if run is not None and read is not None and run.has_committed(read) else position
        lag = None if reached is None or read is None else max(read.high_watermark - reached, 0)
        return LaneReport(
            topic=self._assignment.topic,
            partition=self._assignment.tp.partition,
            phase=self.phase,
            is_open=self.is_open,
            position=position,
            high_watermark=None if read is None else read.high_watermark,
            lag=lag,
            seconds_since_commit=self._context.clocks.monotonic() - self.committed_at,
            failures=self.failures,
            is_full=self.is_full,
            buffered=0 if run is None else run.reader.buffered,
            waiting_on_dependency=self.waiting_on_dependency,
            # While records wait, answers to fetches are no progress. While none waits, no other progress is possible.
            pulse=(self.committed_at, run and run.pulse, read.fetched_ms if lag == 0 and read is not None else None),
        )

    # --- commands

    def start(self) -> None:
        """Begin; return immediately."""
        self._task = asyncio.create_task(self._supervise(), name=f"lane {self._assignment.name}")

    def put(self, fetch: Fetch) -> None:
        """Add fetched records; they count only in the run that asked for them."""
        if self._run is not None:
            self._run.reader.put(fetch)

    def report_out_of_range(self, epoch: int) -> None:
        """Record that a fetch of ``epoch`` found no record at the position."""
        if self._run is not None:
            self._run.reader.report_out_of_range(epoch)

    def pause(self) -> None:
        """Begin no commit and take no records until :meth:`resume`, because partitions are being reassigned."""
        self._control.allowed.clear()
        fencing, self._fencing = self._fencing, None
        if fencing is not None:
            fencing.reschedule(asyncio.get_running_loop().time())
        self._report_ready()

    def resume(self) -> None:
        """Continue after a pause. The consumer has moved meanwhile, so the lane seeks before it reads."""
        self._control.allowed.set()
        if self._run is not None:
            self._run.reader.request_seek()

    async def drain(self) -> None:
        """Wait until no commit is in progress, and no effect is pending."""
        await self._control.idle.wait()

    async def close(self) -> None:
        """End; uncommitted work has no effect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._phase = Phase.ENDED

    async def _supervise(self) -> None:
        while True:
            try:
                await self._open_and_run()
            except _PausedWhileFencing:
                logger.info("%s: partitions are being reassigned; the takeover waits for that", self._assignment.name)
            except ProducerFenced:
                # During a rebalance, the partition may just have got a new owner in this way. Then the next assignment
                # closes this lane, and the process need not end.
                await self._control.allowed.wait()
                self._phase = Phase.ENDED
                self._context.on_fenced(self._assignment.tp)
                return
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                await self._back_off(error)  # aiokafka has cancelled a task of its own
            except Exception as error:  # noqa: BLE001 - after any failure the next run begins with what is committed
                await self._back_off(error)

    async def _back_off(self, error: BaseException) -> None:
        self._phase = Phase.BACKING_OFF
        self._failures += 1
        self._context.observer.failed(self._assignment.topic, error)
        pause_s = self._context.times.backoff_s(self._failures)
        trace = None if isinstance(error, _EXPECTED) else error
        logger.warning("%s: starts again in %.1f s after %r", self._assignment.name, pause_s, error, exc_info=trace)
        await asyncio.sleep(pause_s)

    async def _open_and_run(self) -> None:
        self._phase = Phase.WAITING
        await self._control.allowed.wait()
        committer = self._new_committer()
        try:
            run = await self._open(committer)
            self._run = run
            try:
                await run.run()
            finally:
                self._leave()
                await run.close()
        finally:
            await committer.stop()

    async def _open(self, committer: Committer) -> LaneRun:
        """Take the partition over, and restore its state."""
        began = self._context.clocks.monotonic()
        await self._fence(committer)
        self._phase = Phase.RESTORING
        restored = await committer.restore()
        start = await _compare_with_log(self._assignment, self._context, restored.position)
        run = LaneRun(self._assignment, self._context, self._control, committer, restored, start)
        if self._failures == 0:
            self._committed_at = run.opened_at
        seconds = run.opened_at - began
        logger.info("%s: open at %d after %.2f s", self._assignment.name, start, seconds)
        self._context.observer.opened(self._assignment.topic, seconds)
        return run

    def _is_steady(self, run: LaneRun) -> bool:
        return self._context.clocks.monotonic() - run.opened_at > self._context.times.steady_s

    def _leave(self) -> None:
        self._failures, self._committed_at = self.failures, self.committed_at
        self._run = None
        self._phase = Phase.BACKING_OFF
        self._report_ready()

    async def _fence(self, committer: Committer) -> None:
        # Restoring during a pause does no harm, but fencing might shut a new owner out.
        self._phase = Phase.FENCING
        self._control.idle.clear()
        try:
            async with asyncio.timeout(None) as fencing:
                self._fencing = fencing
                await committer.fence()
        except TimeoutError as error:
            if fencing.expired():
                raise _PausedWhileFencing from error
            raise
        finally:
            self._fencing = None
            self._control.idle.set()

    def _report_ready(self) -> None:
        is_ready = self.is_ready
        if is_ready != self._is_ready:
            self._is_ready = is_ready
            self._context.on_ready(self._assignment.tp, is_ready)


async def _compare_with_log(assignment: Assignment, context: LaneContext, position: int) -> int:
    """Return the offset of the first record to read: the position, or the log's beginning if that is later."""
    tp = assignment.tp
    async with asyncio.timeout(ANSWER_WITHIN_S):
        start, end = await context.fetcher.bounds(tp)
    if not position:
        return start  # nothing was ever committed, so the lane begins with the first stored record
    if end is not None and position > end:
        raise LogEndsBefore(tp.topic, tp.partition, position, end)
    if position < start:
        error = RecordsGone(tp.topic, tp.partition, position, start)
        logger.error("%s", error)
        context.observer.failed(assignment.topic, error)
    return max(position, start)
