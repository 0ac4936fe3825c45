"""All lanes of a process: their partitions, and their changes when the group reassigns partitions."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from faust.types import TP

from models.batch import Restored
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.engine.agent_spec import AgentSpec, Stateful
from stream.engine.committer_factory import CommitterFactory
from stream.engine.context import Assignment, LaneContext, Observer
from stream.engine.fetches import Fetch, Fetcher
from stream.engine.lane import Lane
from stream.engine.offsets import NoticingObserver, OffsetPublisher
from stream.engine.reports import LaneReport

logger = logging.getLogger(__name__)

DRAIN_S = 1.0
"""How long a reassignment of partitions waits for commits in progress and for pending effects, seconds."""
DRAIN_AT_END_S = 4.0
"""How much longer the end of the process waits for pending effects, seconds."""
CLOSE_S = 6.0
"""How long the end of the process waits for its lanes to close, seconds."""


class Lanes:
    """Open, pause and drop lanes as the group decides.

    Parameters
    ----------
    connection
        The cluster.
    specs
        The agents of this process.
    application
        First part of every transactional id.
    fetcher
        Reads the partitions, as a member of the group.
    observer
        Receives the events of lanes.
    leave
        Called with the reason when this process must end, for example because another process owns its partition.
    """

    def __init__(
        self,
        connection: Connection,
        specs: Sequence[AgentSpec],
        application: str,
        fetcher: Fetcher,
        observer: Observer,
        leave: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._specs: Mapping[str, tuple[str, AgentSpec]] = {
            connection.topic(topic): (topic, spec) for spec in specs for topic in spec.topics
        }
        self._fetcher = fetcher
        self._leave = leave
        self._writer = Writer(connection)
        self._committers = CommitterFactory(connection, application, self._writer, fetcher)
        self._publisher = OffsetPublisher(fetcher, self._positions)
        noticing = NoticingObserver(observer, self._publisher.notice)
        self._context = LaneContext(fetcher, self._writer, noticing, self._set_ready, self._leave_fenced)
        self._lanes: dict[TP, Lane] = {}
        self._closing: dict[TP, asyncio.Task[None]] = {}
        self._wanted: frozenset[TP] = frozenset()
        self._is_paused = self._is_over = False

    def __repr__(self) -> str:
        return f"<Lanes {len(self._lanes)} open, {len(self._closing)} closing, paused={self._is_paused}>"

    # --- queries

    @property
    def topics(self) -> frozenset[str]:
        """Physical names of all topics that this process reads."""
        return frozenset(self._specs)

    @property
    def has_assignment(self) -> bool:
        """Whether the group has said which partitions this process has, and is not about to reassign them."""
        return self._publisher.is_running and not self._is_paused

    @property
    def member(self) -> str:
        """Name that the group has given this process; empty while it is no member."""
        return self._fetcher.member

    @property
    def generation(self) -> int:
        """Number of the group's assignment that this process has; -1 while it is no member."""
        return self._fetcher.generation

    def snapshot(self) -> list[LaneReport]:
        """Return the state of every lane, by topic and partition."""
        return [lane.report(self._fetcher.read_to(tp)) for tp, lane in sorted(self._lanes.items())]

    def owns(self, topic: str, partition: int) -> bool:
        """Return whether this process has a partition of a logical topic."""
        return TP(self._connection.topic(topic), partition) in self._lanes

    def restored(self, topic: str, partition: int) -> Restored | None:
        """Return the committed state of a lane, to be read only; ``None`` if this process does not have it."""
        lane = self._lanes.get(TP(self._connection.topic(topic), partition))
        return None if lane is None else lane.restored

    def wanted(self) -> frozenset[TP]:
        """Return the partitions whose lanes can take records; called in the consumer's thread."""
        return self._wanted

    # --- reports of the consumer

    def put(self, tp: TP, fetch: Fetch) -> None:
        """Give fetched records to their lane, if it is still here."""
        lane = self._lanes.get(tp)
        if lane is not None:
            lane.put(fetch)

    def report_out_of_range(self, tp: TP, epoch: int) -> None:
        """Notify a lane, if it is still here, that a fetch found no record at its position."""
        lane = self._lanes.get(tp)
        if lane is not None:
            lane.report_out_of_range(epoch)

    def group_lost(self) -> None:
        """End the process, because the group has given its partitions to others."""
        self._leave("the group continued without this member")

    def reading_failed(self, error: BaseException) -> None:
        """End the process, because another one may be able to read."""
        self._leave(f"nothing can be read any more: {error!r}")

    def check_group(self) -> None:
        """End the process if it can no longer be a member of its group; called regularly."""
        failure = self._fetcher.failure
        if failure is not None:
            self.reading_failed(failure)

    async def drain(self) -> None:
        """Pause all lanes; return when no commit is in progress and no effect is pending, or after a second."""
        self._is_paused = True
        for lane in self._lanes.values():
            lane.pause()
        # A commit that takes longer continues. The fencing of the next owner decides whether the commit counts.
        await _wait_for_all([lane.drain() for lane in self._lanes.values()], DRAIN_S)

    def assigned(self, tps: Iterable[TP]) -> None:
        """Drop the lanes of revoked partitions, resume those that stay, and open new ones; return immediately."""
        self._is_paused = False
        now = {TP(*tp) for tp in tps if tp[0] in self._specs}
        for tp in set(self._lanes) - now:
            self._drop(tp)
        for tp in now:
            lane = self._lanes.get(tp)
            if lane is not None:
                lane.resume()
            else:
                self._open(tp)
        self._publisher.start()
        logger.info("lanes: %s", ", ".join(f"{tp.topic}-{tp.partition}" for tp in sorted(now)) or "none")

    async def close(self) -> None:
        """Close every lane once it is drained, then the shared producer.

        Pending effects get more time than in a reassignment, because a result that does not arrive now is lost, and no
        reassignment waits for them.
        """
        self._is_over = True
        await self.drain()
        await _wait_for_all([lane.drain() for lane in self._lanes.values() if lane.has_pending_effects], DRAIN_AT_END_S)
        await self._publisher.stop()
        for tp in list(self._lanes):
            self._drop(tp)
        if self._closing:
            await asyncio.wait(list(self._closing.values()), timeout=CLOSE_S)
        await self._writer.close()

    # --- inside

    def _open(self, tp: TP) -> None:
        topic, spec = self._specs[tp.topic]
        assignment = Assignment(tp, topic, spec)
        lane = Lane(assignment, self._context, functools.partial(self._committers.make, assignment))
        self._lanes[tp] = lane
        before = self._closing.get(tp)
        if before is None:
            lane.start()
        else:
            before.add_done_callback(lambda _: lane.start() if self._lanes.get(tp) is lane else None)

    def _drop(self, tp: TP) -> None:
        lane = self._lanes.pop(tp)
        lane.pause()  # from now on this lane is never ready, but a later lane of the partition may be
        closing = asyncio.create_task(_close(lane, self._closing.get(tp)), name=f"close {tp.topic}-{tp.partition}")
        self._closing[tp] = closing
        closing.add_done_callback(functools.partial(self._forget, tp))

    def _forget(self, tp: TP, closed: asyncio.Task[None]) -> None:
        """Remove a lane that has closed, and notify its agent if the partition was reassigned."""
        if self._closing.get(tp) is closed:
            del self._closing[tp]
        topic, spec = self._specs[tp.topic]
        if isinstance(spec, Stateful) and spec.on_revoked is not None and tp not in self._lanes and not self._is_over:
            spec.on_revoked(tp.partition, functools.partial(self._writer.send_to, topic, tp.partition))

    def _set_ready(self, tp: TP, is_ready: bool) -> None:
        self._wanted = self._wanted | {tp} if is_ready else self._wanted - {tp}
        if is_ready:
            self._fetcher.wake()

    def _leave_fenced(self, tp: TP) -> None:
        self._leave(f"another process owns {self._specs[tp.topic][0]}-{tp.partition}")

    def _positions(self) -> Mapping[TP, int]:
        """Return the positions to publish: those of lanes with state, unless partitions are being reassigned."""
        if self._is_paused:
            return {}
        return {
            tp: position
            for tp, lane in self._lanes.items()
            if self._specs[tp.topic][1].has_state and (position := lane.position)
        }


async def _close(lane: Lane, before: asyncio.Task[None] | None) -> None:
    # A lane that never began, because the one before it was still closing, closes after that one. So the next lane of
    # the partition waits for both.
    if before is not None:
        await asyncio.wait([before])
    await lane.close()


async def _wait_for_all(waits: Iterable[Awaitable[None]], within_s: float) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=within_s)
        for task in late:
            task.cancel()
