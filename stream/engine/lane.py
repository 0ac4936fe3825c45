"""One partition: fence, restore, seek, then strictly read, think, commit, one batch after the other.

A lane is one task with one instance of the agent's generator and one committer. Whatever fails in it but fencing ends
that life of the lane; the next one begins with what is committed. Nothing is patched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator

from aiokafka.errors import KafkaError, ProducerFenced
from faust.types import TP

from models.batch import Batch, Outputs, Restored
from models.log import EVENTS, Tick, encode_control
from stream.cluster.writer import ANSWER_WITHIN_S
from stream.engine.agent_spec import Edge
from stream.engine.committers import Committer
from stream.engine.context import Surroundings
from stream.engine.effects import EffectRunner
from stream.engine.fetch_buffer import Inbox, LogEndsBefore, PlaceLost, RecordsGone
from stream.engine.wakeups import Alarm
from stream.transport.consumer import Delivery, ReadTo

log = logging.getLogger(__name__)

IDLE_COMMIT_S = 1.0
BACKOFF_S = (0.2, 10.0)
STEADY_S = 90.0
"""A life of a lane that lasted so long is no failure: longer than any answer of a broker is waited for."""


class _PausedWhileFencing(Exception):
    """The partition may be somebody else's by now: nobody may be fenced until the group has said whose it is."""


class Lane:
    """See the module.

    Parameters
    ----------
    tp
        Physical topic and partition.
    topic
        Logical topic.
    edge
        The agent and how it commits.
    committer
        Makes a new committer for each life.
    around
        What all lanes share.

    Attributes
    ----------
    restored
        The committed state of this life; ``None`` while there is none.
    committed_at
        When it committed last, or was opened for the first time since then; on the monotonic clock. A lane that fails
        again and again shows no progress, however often it is opened.
    thought_s
        Seconds from handing the agent its last batch to what it yielded.
    oldest_stamp
        Of the records taken since the commit before, milliseconds; ``None`` where none was taken.
    """

    def __init__(
        self, tp: TP, topic: str, edge: Edge, committer: Callable[[], Committer], around: Surroundings
    ) -> None:
        self.tp = tp
        self.topic = topic
        self.edge = edge
        self.restored: Restored | None = None
        self.thought_s = 0.0
        self.oldest_stamp: int | None = None
        self.committed_at = self._handed_at = time.monotonic()
        self._new_committer = committer
        self._around = around
        self._inbox = Inbox(tp, limit=2 * edge.max_records)
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._calm = asyncio.Event()
        self._calm.set()
        self._failures = 0
        self._opened_at: float | None = None
        self._fencing: asyncio.Timeout | None = None
        self._broken: LogEndsBefore | None = None
        self._lost_in: int | None = None
        self._effects = EffectRunner(self._ring)
        self._alarm = Alarm(around.clock, gives_beats=edge.beats)
        self._full = False
        self._writes = False
        self._astray = True
        self._seeking = False
        self._pulled = 0
        self._records_pulled = 0
        self._next_batch = 0.0
        self._committer: Committer | None = None
        self._task: asyncio.Task[None] | None = None

    # --- seen from outside

    @property
    def is_open(self) -> bool:
        """Whether it has its state, and commits."""
        return self.restored is not None

    @property
    def failures(self) -> int:
        """Lives in a row that ended without a commit and before they had lasted a while."""
        return 0 if self._is_steady else self._failures

    @property
    def excused(self) -> bool:
        """Whether it stands for what has its own time limit: failures, an answer of the broker, a restore.

        Calls under way are no excuse, nor is a failure of long ago: a lane goes on beside the former, and behind the
        latter.
        """
        if self.failures or self._full or self._writes:
            return True
        return not self.is_open and self.edge.state is not None

    @property
    def is_full(self) -> bool:
        """Whether its agent wants no records for now: what it has must leave first."""
        return self.is_open and self._full

    @property
    def owes(self) -> bool:
        """Whether effects were begun whose outcome is not committed yet."""
        return self._effects.pending > 0

    @property
    def pulse(self) -> object:
        """Something that changes whenever the lane moves."""
        return self.committed_at, self._handed_at, self._pulled, self.position

    @property
    def _is_steady(self) -> bool:
        return self._opened_at is not None and time.monotonic() - self._opened_at > STEADY_S

    @property
    def position(self) -> int | None:
        """Offset behind the last record that is committed; ``None`` while nothing is restored."""
        return None if self.restored is None else self.restored.position

    def has_committed(self, read: ReadTo) -> bool:
        """Whether everything that was delivered is committed: nothing waits here or is on its way."""
        return self._inbox.has_taken(read.epoch, read.sequence) and self._pulled == self.position

    @property
    def ready(self) -> bool:
        """Whether it can take more records now."""
        there = self.is_open and not self._astray and not self._seeking
        return there and self._allowed.is_set() and not self._inbox.full

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name=f"lane {self.tp.topic}-{self.tp.partition}")

    def put(self, delivery: Delivery) -> None:
        """Take what the transport read."""
        try:
            complete = self._inbox.put(delivery)
        except LogEndsBefore as error:
            self._broken = error
            self._inbox.changed.set()
            return
        if not complete:
            log.warning("%s: a delivery was lost on its way; reading again from %d", self._name, self._pulled)
            self._go_astray()
        elif self._inbox.full:
            self._around.source.lane_changed(self)

    def lose_place(self, epoch: int) -> None:
        """Hear that the log had nothing where it was read, in the deliveries of ``epoch``."""
        self._lost_in = epoch
        self._inbox.changed.set()

    def pause(self) -> None:
        """Begin no commit and take no records until :meth:`resume`: partitions are being assigned anew."""
        self._allowed.clear()
        fencing, self._fencing = self._fencing, None
        if fencing is not None:
            fencing.reschedule(asyncio.get_running_loop().time())
        self._around.source.lane_changed(self)

    def resume(self) -> None:
        """Go on after a pause; the consumer stands somewhere else now, so the lane seeks before it reads."""
        self._allowed.set()
        self._go_astray()

    async def settle(self) -> None:
        """Wait until no commit is on its way, and no effect whose outcome is still to be committed."""
        await self._calm.wait()

    async def close(self) -> None:
        """End: what is not committed never happened."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- its life

    def _go_astray(self) -> None:
        self._astray = True
        self._inbox.changed.set()
        self._around.source.lane_changed(self)

    @property
    def _name(self) -> str:
        return f"{self.topic}-{self.tp.partition}"

    async def _run(self) -> None:
        while True:
            try:
                await self._live()
            except _PausedWhileFencing:
                log.info("%s: partitions are being assigned anew; it is taken over afterwards", self._name)
            except ProducerFenced:
                # While partitions move, being fenced may only mean that this one is already somebody else's: then the
                # coming assignment drops the lane, and the process can stay.
                await self._allowed.wait()
                self._around.fenced(self)
                return
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                await self._recover(error)  # aiokafka cancels tasks of its own, and awaits them
            except Exception as error:  # noqa: BLE001 - any other failure begins a new life with what is committed
                await self._recover(error)

    async def _recover(self, error: BaseException) -> None:
        self._failures += 1
        self._around.observer.failed(self, error)
        pause = min(BACKOFF_S[0] * 2 ** min(self._failures - 1, 10), BACKOFF_S[1])
        expected = isinstance(
            error, KafkaError | OSError | TimeoutError | asyncio.CancelledError | LogEndsBefore | PlaceLost
        )
        trace = None if expected else error
        log.warning("%s: begins anew in %.1f s after %r", self._name, pause, error, exc_info=trace)
        await asyncio.sleep(pause)

    async def _live(self) -> None:
        await self._allowed.wait()
        committer = self._committer = self._new_committer()
        try:
            began = time.monotonic()
            await self._fence(committer)
            restored = await committer.restore()
            begin = await self._compare_with_log(restored.position)
            self.restored, self._broken = restored, None
            self._pulled, self._records_pulled, self.oldest_stamp = begin, 0, None
            self._alarm.begin()
            self._next_batch = 0.0
            self._astray, self._full = True, False
            now = self._opened_at = time.monotonic()
            if self._failures == 0:
                self.committed_at = now
            log.info("%s: open at %d after %.2f s", self._name, self._pulled, now - began)
            self._around.observer.opened(self, now - began)
            async with contextlib.aclosing(self._batches()) as batches:
                agent = self.edge.agent(restored, self._ring)(batches)
                try:
                    async for outputs in agent:
                        await self._commit(outputs)
                finally:
                    if isinstance(agent, AsyncGenerator):
                        await agent.aclose()
            raise RuntimeError(f"the agent {self.edge.name} ended; an agent reads on for ever")
        finally:
            if self._is_steady:
                self._failures = 0
            self.restored = self._opened_at = None
            self._astray = True
            self._around.source.lane_changed(self)
            await self._effects.close()
            self._calm.set()
            await committer.stop()

    async def _fence(self, committer: Committer) -> None:
        # What is restored in a pause does no harm, but whoever is fenced then may be the new owner.
        self._calm.clear()
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
            self._calm.set()

    async def _compare_with_log(self, position: int) -> int:
        """Offset of the first record to read: the position, or where the log begins by now."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            start, end = await self._around.source.bounds(self.tp)
        if not position:
            return start  # nothing was ever committed: it begins with what is there
        if end is not None and position > end:
            raise LogEndsBefore(self.tp.topic, self.tp.partition, position, end)
        if position < start:
            error = RecordsGone(self.tp.topic, self.tp.partition, position, start)
            log.error("%s", error)
            self._around.observer.failed(self, error)
        return max(position, start)

    async def _batches(self) -> AsyncGenerator[Batch]:
        while True:
            batch = await self._look()
            if batch is None:
                continue
            if self._effects.has_ended:
                batch = batch._replace(ended=self._effects.hand_over())
            self._handed_at = time.monotonic()
            yield batch
            # The agent asks for the next batch once everything that follows from the results of this one is committed.
            self._effects.confirm()
            self._settle_if_calm()

    async def _look(self) -> Batch | None:
        """Do the next thing that is to be done; returns a batch where there is one for the agent."""
        if not self._allowed.is_set():
            return await self._look_in_a_pause()
        if self._broken is not None:
            raise self._broken
        if self._astray:
            await self._find_back()
        elif self._lost_in == self._inbox.epoch:
            raise PlaceLost(self.tp.topic, self.tp.partition)
        elif self._full or not self._inbox.waiting:
            if self._alarm.is_beat_due:
                return self._beat()
            await self._await_records()
        elif not self._inbox.full and (early := self._next_batch - time.monotonic()) > 0:
            await self._await_change(early)
        else:
            return self._take()
        return None

    async def _look_in_a_pause(self) -> Batch | None:
        if self._effects.has_ended:
            return self._beat(closing=True)
        if self._effects.pending:
            await self._await_change(None)
        else:
            await self._allowed.wait()
        return None

    def _take(self) -> Batch:
        self._alarm.hush()
        was_full = self._inbox.full
        records = self._inbox.take(self.edge.max_records)
        if was_full:
            self._around.source.lane_changed(self)
        self._pulled = records[-1].offset + 1
        self._records_pulled += len(records)
        self._next_batch = time.monotonic() + self.edge.pace_s
        if self.oldest_stamp is None:
            self.oldest_stamp = records[0].timestamp
        return Batch(self.topic, self.tp.partition, records)

    def _beat(self, *, closing: bool = False) -> Batch:
        self._alarm.take_beat()
        return Batch(self.topic, self.tp.partition, (), closing)

    def _ring(self) -> None:
        self._alarm.ring()
        self._inbox.changed.set()

    def _settle_if_calm(self) -> None:
        if not self._effects.pending:
            self._calm.set()

    async def _find_back(self) -> None:
        self._astray, self._seeking = False, True  # a rebalance in the middle of the seek asks for another one
        try:
            epoch = await self._around.source.seek(self.tp, self._pulled)
        finally:
            self._seeking = False
        self._inbox.reset(epoch, self._pulled)
        self._around.source.lane_changed(self)

    async def _await_records(self) -> None:
        """Wait for records; meanwhile move the position of batches that yielded nothing, and the clock."""
        assert self.restored is not None
        behind = self._pulled > self.restored.position
        tick_at = self._alarm.tick_at
        if tick_at is not None and not self._goes_by_the_wall(self.restored):
            tick_at = None
        moments = [moment for moment in (tick_at, self._alarm.beat_at) if moment is not None]
        now = self._around.clock()
        waits = [max(moment - now, 0.0) for moment in moments] + [IDLE_COMMIT_S] * behind
        if await self._await_change(min(waits, default=None)):
            return
        if tick_at is not None and self._around.clock() >= tick_at:
            tick = Tick(at=self._alarm.tick())
            with self._writing():
                await self._around.writer.send_to(self.topic, self.tp.partition, [encode_control(tick)])
        elif behind:
            # Asking for the next batch without having yielded says that nothing of the last ones is to be kept.
            await self._commit(Outputs(next_due=self._alarm.next_due, full=self._full))

    def _goes_by_the_wall(self, restored: Restored) -> bool:
        return self.edge.wall_clock is not None and self.edge.wall_clock(restored)

    async def _await_change(self, timeout_s: float | None) -> bool:
        self._inbox.changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._inbox.changed.wait()
        except TimeoutError:
            return False
        return True

    async def _commit(self, outputs: Outputs) -> None:
        restored, committer = self.restored, self._committer
        self.thought_s = time.monotonic() - self._handed_at
        assert restored is not None
        assert committer is not None
        if not self._effects.pending:  # what became of effects is told even in a pause: nobody else can tell it
            await self._allowed.wait()
        self._full = outputs.full
        if self.edge.beats and self._says_nothing(outputs):
            self._alarm.next_due = outputs.next_due
            self._begin(outputs)
            return
        checkpoint = restored.checkpoint(outputs.commit, self._pulled)
        began = time.monotonic()
        self._calm.clear()
        try:
            with self._writing():
                await committer.commit(outputs.commit, checkpoint)
            self._begin(outputs)
        finally:
            self._settle_if_calm()
        restored.apply(outputs.commit, checkpoint.position)
        self._alarm.set(outputs.next_due)
        self._failures = 0
        self.committed_at = time.monotonic()
        is_whole = checkpoint.position == self._pulled
        records = self._records_pulled if is_whole else 0
        self._records_pulled -= records
        self._around.observer.committed(self, records, self.committed_at - began, outputs)
        if is_whole:
            self.oldest_stamp = None
        if outputs.after.broadcasts:
            with self._writing():
                await self._around.writer.send_everywhere(EVENTS, list(outputs.after.broadcasts))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._writes = True
        try:
            yield
        finally:
            self._writes = False

    def _begin(self, outputs: Outputs) -> None:
        if outputs.after.effects:
            self._calm.clear()
            self._effects.begin(outputs.after.effects)

    def _says_nothing(self, outputs: Outputs) -> bool:
        assert self.restored is not None
        commit = outputs.commit
        said = commit.records or commit.state or outputs.counts or commit.memo is not None
        return not said and self._pulled == self.restored.position
