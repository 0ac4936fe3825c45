"""All lanes of one worker process: which partitions are theirs, and what happens when that changes."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from faust.types import TP

from models.batch import Restored
from stream.cluster.connection import Connection, transactional_id
from stream.cluster.writer import Writer
from stream.engine.agent_spec import Edge
from stream.engine.committers import (
    Committer,
    OrderedCommitter,
    Ownership,
    RelayCommitter,
    TransactionalCommitter,
)
from stream.engine.context import Observer, Surroundings
from stream.engine.lane import Lane
from stream.transport.consumer import BatchThread, Delivery, ReadTo

log = logging.getLogger(__name__)

SETTLE_S = 1.0
EFFECTS_S = 4.0
CLOSE_S = 6.0
PUBLISH_EVERY_S = 0.1
RESTORES_AT_ONCE = 2
"""While one waits for the broker the other one is taken in; so the first users are there long before the last."""


@dataclass(frozen=True, slots=True)
class LaneReport:
    """How one lane stands.

    Attributes
    ----------
    topic, partition
        Logical topic, and the number.
    is_open
        Whether it has its state, and commits.
    position
        Offset behind the last committed record; ``None`` while nothing is restored.
    high_watermark
        End of the partition as the last fetch saw it; ``None`` before the first.
    lag
        Records between the two; ``None`` where either is unknown.
    seconds_since_commit
        Since the last commit, or since it was opened where it has not failed since then.
    failures
        Lives in a row that ended without a commit.
    waiting_s
        Seconds for which records have waited, or may have, without a commit.
    excused
        Whether it moves no further for a reason that has its own time limit, or because there is nothing to do.
    pulse
        Changes whenever the lane moves, and whenever the broker has answered a fetch of its partition.
    """

    topic: str
    partition: int
    is_open: bool
    position: int | None
    high_watermark: int | None
    lag: int | None
    seconds_since_commit: float
    failures: int
    waiting_s: float = 0.0
    excused: bool = False
    pulse: object = None


class Lanes:
    """Opens, pauses and drops lanes as the group decides; the transport's listener and the lanes' source.

    Parameters
    ----------
    connection
        The cluster.
    edges
        What this worker runs.
    application
        First part of every transactional id.
    observer
        The metrics.
    leave
        Ends this process, with the reason; called when somebody else owns what this process held.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        connection: Connection,
        edges: Sequence[Edge],
        application: str,
        observer: Observer,
        leave: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._edges: Mapping[str, tuple[str, Edge]] = {
            connection.topic(topic): (topic, edge) for edge in edges for topic in edge.topics
        }
        self._application = application
        self._leave = leave
        self._writer = Writer(connection)
        self._turns = asyncio.Semaphore(RESTORES_AT_ONCE)
        self._around = Surroundings(self, self._writer, self._fenced, observer, clock)
        self._lanes: dict[TP, Lane] = {}
        self._closing: dict[TP, asyncio.Task[None]] = {}
        self._wanted: frozenset[TP] = frozenset()
        self._published: dict[TP, int] = {}
        self._idle_at: dict[TP, float] = {}
        self._publishing: asyncio.Task[None] | None = None
        self._paused = self._over = False
        self._thread: Callable[[], BatchThread] | None = None

    def attach(self, thread: Callable[[], BatchThread]) -> None:
        """Say where the consumer's thread is found, once there is one."""
        self._thread = thread

    # --- what others ask

    def snapshot(self) -> list[LaneReport]:
        """How every lane stands, by topic and partition."""
        return [self._report(lane) for _, lane in sorted(self._lanes.items())]

    @property
    def has_assignment(self) -> bool:
        """Whether the group has said which partitions are ours, and is not about to say it anew."""
        return self._publishing is not None and not self._paused

    @property
    def member(self) -> str:
        """The name that the group has given this process; empty while it is no member."""
        return "" if self._thread is None else self._thread().member

    def check_group(self) -> None:
        """End the process where it can be no member of its group any more; ask now and then."""
        failure = None if self._thread is None else self._thread().failure
        if failure is not None:
            self.reading_failed(failure)

    def restored(self, topic: str, partition: int) -> Restored | None:
        """Return the committed state of a lane of this process, to be read only; ``None`` where it has none (yet)."""
        lane = self._lanes.get(TP(self._connection.topic(topic), partition))
        return None if lane is None else lane.restored

    def _report(self, lane: Lane) -> LaneReport:
        position, read = lane.position, self._read_to(lane.tp)
        # The end of a topic that is written in transactions is a marker, which no lane ever sees: a lane that has
        # committed all that was delivered is as far as the consumer.
        behind = read.position if read is not None and lane.has_committed(read) else position
        lag = None if behind is None or read is None else max(read.high_watermark - behind, 0)
        now = time.monotonic()
        if (lag == 0 and lane.is_open) or lane.is_full:  # a provider that is away is no fault of this process
            self._idle_at[lane.tp] = now
        moved_at = max(lane.committed_at, self._idle_at.get(lane.tp, 0.0))
        return LaneReport(
            topic=lane.topic,
            partition=lane.tp.partition,
            is_open=lane.is_open,
            position=position,
            high_watermark=None if read is None else read.high_watermark,
            lag=lag,
            seconds_since_commit=now - lane.committed_at,
            failures=lane.failures,
            waiting_s=now - moved_at,
            excused=lane.excused,
            # Where records wait, answers to fetches are no progress; where none do, they are all there can be.
            pulse=(lane.pulse, read.fetched_ms if lag == 0 and read is not None else None),
        )

    def _read_to(self, tp: TP) -> ReadTo | None:
        return None if self._thread is None else self._thread().read_to.get(tp)

    # --- the transport's listener

    @property
    def topics(self) -> frozenset[str]:
        """Physical names of all that is read here."""
        return frozenset(self._edges)

    def wanted(self) -> frozenset[TP]:
        """Partitions whose lanes can take records; called in the consumer's thread."""
        return self._wanted

    def deliver(self, tp: TP, delivery: Delivery) -> None:
        """Take what a Faust agent received; for a lane that is gone it is nothing."""
        lane = self._lanes.get(tp)
        if lane is not None:
            lane.put(delivery)

    def place_lost(self, tp: TP, epoch: int) -> None:
        """Tell the lane, if it is still there, that its log has nothing where it was read."""
        lane = self._lanes.get(tp)
        if lane is not None:
            lane.lose_place(epoch)

    def group_lost(self) -> None:
        """End the process: the group has given its partitions to others."""
        self._leave("the group went on without this member")

    def reading_failed(self, error: BaseException) -> None:
        """End the process: another one may be able to read."""
        self._leave(f"nothing can be read any more: {error!r}")

    async def settle(self) -> None:
        """Pause all lanes; return when no commit is on its way any more, or after a second."""
        self._paused = True
        for lane in self._lanes.values():
            lane.pause()
        # What takes longer goes on: the next owner's fencing decides whether it counts.
        waits = [asyncio.ensure_future(lane.settle()) for lane in self._lanes.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=SETTLE_S)
            for wait in late:
                wait.cancel()

    def assigned(self, tps: Iterable[TP]) -> None:
        """Drop the lanes that are gone, resume those that stay, open those that are new; returns at once."""
        self._paused = False
        now = {TP(*tp) for tp in tps if tp[0] in self._edges}
        for tp in set(self._lanes) - now:
            self._drop(tp)
        for tp in now:
            lane = self._lanes.get(tp)
            if lane is not None:
                lane.resume()
            else:
                self._open(tp)
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publish_offsets(), name="publish offsets")
        log.info("lanes: %s", ", ".join(f"{tp.topic}-{tp.partition}" for tp in sorted(now)) or "none")

    async def close(self) -> None:
        """Settle, end every lane, and the shared producer.

        What effects give is waited for longer than in a rebalance: nobody else stands still meanwhile, and nobody will
        ever hear of what this process does not hear now.
        """
        self._over = True
        await self.settle()
        owing = [asyncio.ensure_future(lane.settle()) for lane in self._lanes.values() if lane.owes]
        if owing:
            _, late = await asyncio.wait(owing, timeout=EFFECTS_S)
            for wait in late:
                wait.cancel()
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.wait([self._publishing])
            self._publishing = None
        for tp in list(self._lanes):
            self._drop(tp)
        if self._closing:
            await asyncio.wait(list(self._closing.values()), timeout=CLOSE_S)
        await self._writer.close()

    def _open(self, tp: TP) -> None:
        topic, edge = self._edges[tp.topic]
        lane = self._lanes[tp] = Lane(tp, topic, edge, functools.partial(self._committer, tp), self._around)
        before = self._closing.get(tp)
        if before is None:
            lane.start()
        else:
            before.add_done_callback(lambda _: lane.start() if self._lanes.get(tp) is lane else None)

    def _drop(self, tp: TP) -> None:
        lane = self._lanes.pop(tp)
        self._published.pop(tp, None)
        self._idle_at.pop(tp, None)
        self.lane_changed(lane)
        closing = self._closing[tp] = asyncio.create_task(
            _close(lane, self._closing.get(tp)), name=f"close {tp.topic}-{tp.partition}"
        )
        closing.add_done_callback(lambda done: self._closing.pop(tp) if self._closing.get(tp) is done else None)
        if lane.edge.gone is not None:
            closing.add_done_callback(lambda _: self._tell_heir(lane))

    def _tell_heir(self, lane: Lane) -> None:
        if lane.tp not in self._lanes and lane.edge.gone is not None and not self._over:
            lane.edge.gone(lane.tp.partition, functools.partial(self._writer.send_to, lane.topic, lane.tp.partition))

    def _committer(self, tp: TP) -> Committer:
        topic, edge = self._edges[tp.topic]
        if edge.kind == "relay":
            read = functools.partial(self._committed_offset, tp)
            return RelayCommitter(
                self._writer, tp.partition, read, functools.partial(self._commit_offset, tp), edge.aligned
            )
        assert edge.state is not None
        own = Ownership(
            transactional_id=transactional_id(self._application, topic, tp.partition),
            partition=tp.partition,
            state_topic=edge.state,
            aligned=edge.aligned,
            turns=self._turns,
        )
        if self._connection.transactions:
            return TransactionalCommitter(self._connection, own)
        return OrderedCommitter(self._connection, own, self._writer)

    def _fenced(self, lane: Lane) -> None:
        self._leave(f"somebody else owns {lane.topic}-{lane.tp.partition}")

    # --- the lanes' source

    async def seek(self, tp: TP, offset: int) -> int:
        """Deliver from ``offset`` on; returns the epoch of those deliveries."""
        thread = self._consumer_thread()
        return await thread.in_thread(thread.seek_to(tp, offset))

    async def bounds(self, tp: TP) -> tuple[int, int | None]:
        """Offset of the first record that is there, and the one behind the last; ``None`` where the broker is vague."""
        if not self._connection.transactions:
            return 0, None  # the embedded broker tells too low an end, and keeps all for as long as it lives
        thread = self._consumer_thread()
        return await thread.in_thread(thread.bounds(tp))

    def lane_changed(self, lane: Lane) -> None:
        """Keep :meth:`wanted`, and wake the fetch where there is more to want."""
        if self._lanes.get(lane.tp, lane) is not lane:
            return  # a successor's partition is not this one's to say
        ready = lane.ready and lane.tp in self._lanes
        if ready == (lane.tp in self._wanted):
            return
        self._wanted = self._wanted | {lane.tp} if ready else self._wanted - {lane.tp}
        if ready:
            self._consumer_thread().wake()

    async def _committed_offset(self, tp: TP) -> int | None:
        thread = self._consumer_thread()
        return await thread.in_thread(thread.committed_offset(tp))

    async def _commit_offset(self, tp: TP, offset: int) -> None:
        thread = self._consumer_thread()
        await thread.in_thread(thread.commit_offsets({tp: offset}))

    async def _publish_offsets(self) -> None:
        """Write the group's offsets now and then: for whoever measures lag, never for us."""
        thread = self._consumer_thread()
        while True:
            await asyncio.sleep(PUBLISH_EVERY_S)
            if self._paused:
                continue
            moved = {
                tp: lane.position
                for tp, lane in self._lanes.items()
                if lane.edge.kind != "relay" and lane.position and lane.position != self._published.get(tp)
            }
            if not moved:
                continue
            try:
                await thread.in_thread(thread.commit_offsets(moved))
            except Exception as error:  # noqa: BLE001 - nothing depends on it, so nothing about it may matter
                log.info("the group's offsets were not written: %r", error)
            else:
                self._published.update(moved)

    def _consumer_thread(self) -> BatchThread:
        assert self._thread is not None, "lanes begin when the transport is attached"
        return self._thread()


async def _close(lane: Lane, before: asyncio.Task[None] | None) -> None:
    # One that never began, because its predecessor was still ending, ends with that one: its own successor waits, too.
    if before is not None:
        await asyncio.wait([before])
    await lane.close()
