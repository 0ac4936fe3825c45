"""The thread of the consumer: it joins the group, fetches the partitions that lanes want, and seeks for them.

Everything here runs in that thread's event loop, except :class:`ConsumerFetcher` and the members of
:class:`BatchThread` that a comment marks.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.cluster import lean_records, patient_fetches
from stream.cluster.connection import Connection
from stream.engine.fetches import Fetch, ReadTo
from stream.transport.assignor import EvenAssignor

logger = logging.getLogger(__name__)

FETCH_WAIT_MS = 50
"""How long a broker may keep a fetch that finds nothing while lanes are busy, milliseconds.

The broker answers as soon as one of the partitions has a record, so this adds no latency. But a lane that was full, or
has moved its position, waits until the current fetch ends.
"""
IDLE_FETCH_WAIT_MS = 500
"""How long a broker may keep a fetch that finds nothing while all lanes have read everything, milliseconds.

After a rebalance, the first fetch may wait for the end of the previous one. So this wait is not longer.
"""
PREFETCH_BACKOFF_S = 0.005
"""How long aiokafka delays fetches of other partitions while records of one are not taken, seconds (default 0.1)."""
MAX_FETCH_RECORDS = 5_000
"""Maximum number of records in one fetch."""
CONNECT_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to reach a broker, seconds. If the process ended instead, it would only be started again."""

_T = TypeVar("_T")


class FetchListener(Protocol):
    """Receiver of fetches and rebalances; called in the main thread, except :meth:`wanted`."""

    @property
    def topics(self) -> frozenset[str]:
        """Physical names of all topics that it reads."""

    def wanted(self) -> frozenset[TP]:
        """Return the partitions that can take records now; called in the consumer's thread."""

    def put(self, tp: TP, fetch: Fetch) -> None:
        """Called when records were fetched."""

    def report_out_of_range(self, tp: TP, epoch: int) -> None:
        """Called when a fetch of ``epoch`` found no record at the position."""

    def group_lost(self) -> None:
        """Called when the group continued without this member."""

    def reading_failed(self, error: Exception) -> None:
        """Called when nothing more can be read."""

    async def drain(self) -> None:
        """Finish or abort the commits in progress, and begin no new one."""

    async def close(self) -> None:
        """End everything."""


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust's types are skipped
    """The consumer's thread and event loop.

    Attributes
    ----------
    read_to
        How far each partition is read. Written in this thread, and read in the main thread.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read_to: dict[TP, ReadTo] = {}
        self._epochs: dict[TP, int] = {}
        self._sequences: dict[TP, int] = {}
        self._wake: asyncio.Event | None = None
        # The embedded broker stores everything while it runs, and cannot say where a log ends.
        self._reports_out_of_range: bool = self.consumer.transport.connection.transactions

    async def on_start(self) -> None:
        """Create the consumer as soon as a broker answers; it joins the group when Faust subscribes."""
        self._wake = asyncio.Event()
        pauses = itertools.chain(CONNECT_AGAIN_S, itertools.repeat(CONNECT_AGAIN_S[-1]))
        while not self.should_stop:
            try:
                await super().on_start()
            except KafkaConnectionError as error:
                await self._consumer.stop()
                pause_s = next(pauses)
                logger.warning("no broker answers; trying again in %g s: %s", pause_s, error)
                await self.sleep(pause_s)
            else:
                self._consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
                patient_fetches.wait_longer_when_idle(
                    self._consumer, wait_ms=FETCH_WAIT_MS, idle_wait_ms=IDLE_FETCH_WAIT_MS, is_idle=self._all_are_wanted
                )
                return

    def _all_are_wanted(self) -> bool:
        """Return whether lanes can take records of all assigned partitions, so that no lane is about to seek."""
        listener: FetchListener = self.consumer.transport.listener
        return all(TP(*tp) in listener.wanted() for tp in self._ensure_consumer().assignment())

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        connection: Connection = transport.connection
        self._assignor = EvenAssignor
        return lean_records.make_consumer(
            **connection.client_options(),
            group_id=self.app.conf.id,
            client_id=self.app.conf.broker_client_id,
            partition_assignment_strategy=[EvenAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=int(connection.session_timeout_s * 1_000),
            heartbeat_interval_ms=int(connection.heartbeat_interval_s * 1_000),
            rebalance_timeout_ms=10_000,
            # The main loop asks for records all the time, even if no lane can take any. So a process that has not asked
            # for a minute hangs, and its partitions must be reassigned.
            max_poll_interval_ms=60_000,
            request_timeout_ms=15_000,
            retry_backoff_ms=100,
        )

    # --- called from the main thread

    @property
    def member(self) -> str:
        """Name that the group has given this process; empty while it is no member."""
        coordinator = self._coordinator
        return "" if coordinator is None else str(coordinator.member_id)

    @property
    def generation(self) -> int:
        """Number of the group's assignment that this process has; -1 while it is no member."""
        coordinator = self._coordinator
        return -1 if coordinator is None else int(coordinator.generation)

    @property
    def failure(self) -> BaseException | None:
        """Error that keeps this process out of its group for good; ``None`` while there is none.

        aiokafka raises it only from a fetch. Nothing is fetched before the first assignment, or during a reassignment.
        """
        coordinator = self._coordinator
        if coordinator is None:
            return None
        routine = coordinator._coordination_task
        ended = routine.exception() if routine.done() and not routine.cancelled() else None
        failure: BaseException | None = ended or coordinator._pending_exception
        return failure

    @property
    def has_consumer(self) -> bool:
        """Whether the consumer exists; it is created once a broker answers."""
        return self._consumer is not None

    @property
    def _coordinator(self) -> Any:
        consumer = self._consumer
        return None if consumer is None else consumer._coordinator

    def wake(self) -> None:
        """Let the consumer ask again which partitions are wanted."""
        if self._wake is not None and not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(self._wake.set)

    async def in_thread(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in this thread's event loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop))

    # --- called in this thread

    async def fetch(self, listener: FetchListener) -> list[tuple[TP, Fetch]]:
        """Wait for records of wanted partitions."""
        consumer, wake = self._ensure_consumer(), self._wake
        assert wake is not None
        # If an error passes through aiokafka's context manager, the manager does not decrement its counter.
        errors: list[BaseException] = []
        fetches: list[tuple[TP, Fetch]] = []
        with consumer._subscription.fetch_context():
            try:
                while not fetches and self.consumer.flow_active:
                    wake.clear()
                    fetches = await self._fetch_or_wake(consumer, listener.wanted(), wake)
            except BaseException as error:  # noqa: BLE001 - raised again after the context
                errors.append(error)
        if errors:
            raise errors[0]
        return fetches

    async def _fetch_or_wake(
        self, consumer: AIOKafkaConsumer, wanted: frozenset[TP], wake: asyncio.Event
    ) -> list[tuple[TP, Fetch]]:
        if consumer._closed or consumer._fetcher._closed:
            raise driver.ConsumerStoppedError
        # Faust calls the consumer's fetcher directly, and would wait forever for a fetcher that has ended.
        consumer._coordinator.check_errors()
        if consumer._fetcher.error_future.done():
            consumer._fetcher.error_future.result()
        waking = asyncio.ensure_future(wake.wait())
        fetching = asyncio.ensure_future(self._fetch_wanted(consumer, wanted)) if wanted else None
        try:
            tasks: list[asyncio.Future[Any]] = [waking] if fetching is None else [waking, fetching]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=1)
            return fetching.result() if fetching is not None and fetching.done() else []
        finally:
            # If a fetch is cancelled before it resumes from its own wait, it has taken nothing out of aiokafka's
            # buffer.
            waking.cancel()
            if fetching is not None:
                fetching.cancel()
            self._record_positions(consumer, wanted)

    async def _fetch_wanted(self, consumer: AIOKafkaConsumer, wanted: frozenset[TP]) -> list[tuple[TP, Fetch]]:
        # aiokafka moves its position and returns without yielding to the loop in between. Therefore, the epochs read
        # here are those in which the records were read.
        found = await consumer._fetcher.fetched_records(wanted, timeout=1, max_records=MAX_FETCH_RECORDS)
        fetches = []
        for tp, records in found.items():
            tp = TP(*tp)
            sequence = self._sequences.get(tp, 0)
            self._sequences[tp] = sequence + 1
            fetches.append((tp, Fetch(records, self._epochs.get(tp, 0), sequence)))
        return fetches

    def _record_positions(self, consumer: AIOKafkaConsumer, tps: Iterable[TP]) -> None:
        for tp in tps:
            if not consumer._subscription.is_assigned(tp):
                continue
            state = consumer._subscription.subscription.assignment.state_value(tp)
            if state.has_valid_position and state.highwater is not None:
                epoch, sequence = self._epochs.get(tp, 0), self._sequences.get(tp, 0)
                self.read_to[tp] = ReadTo(epoch, sequence, state.position, state.highwater, state.timestamp)

    async def seek_to(self, tp: TP, offset: int) -> int:
        """Continue a partition at ``offset``; return the epoch that begins with this seek."""
        self._ensure_consumer().seek(TopicPartition(*tp), offset)
        self._sequences[tp] = 0
        epoch = self._epochs[tp] = self._epochs.get(tp, 0) + 1
        if self._reports_out_of_range:
            self._watch_position(tp, epoch)
        return epoch

    def _watch_position(self, tp: TP, epoch: int) -> None:
        # aiokafka only logs at INFO that an offset is out of range, and calls `await_reset` to continue elsewhere.
        state = self._ensure_consumer()._subscription.subscription.assignment.state_value(tp)
        main, listener = self.consumer.loop, self.consumer.transport.listener

        def await_reset(strategy: int) -> None:
            main.call_soon_threadsafe(listener.report_out_of_range, tp, epoch)
            type(state).await_reset(state, strategy)

        state.await_reset = await_reset

    async def bounds(self, tp: TP) -> tuple[int, int]:
        """Return the offset of the first record, and the offset after the last committed one."""
        consumer, partition = self._ensure_consumer(), TopicPartition(*tp)
        starts, ends = await asyncio.gather(consumer.beginning_offsets([partition]), consumer.end_offsets([partition]))
        return starts[partition], ends[partition]

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the group's committed offset of a partition."""
        offset: int | None = await self._ensure_consumer().committed(TopicPartition(*tp))
        return offset

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit the group's offsets; only a member of the group can do so."""
        await self._ensure_consumer().commit({TopicPartition(*tp): offset for tp, offset in offsets.items()})


class GroupListener(driver.ConsumerRebalanceListener):  # type: ignore[misc]  # Faust's types are skipped
    """Listener that notices, before Faust does, that the group has continued without this member."""

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Any:
        """Called when partitions are revoked, in the consumer's thread."""
        thread = self._thread
        revoked = set(revoked)
        if revoked and thread._ensure_consumer()._coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
            # aiokafka forgets its generation only if the coordinator no longer knows this member.
            consumer = thread.consumer
            consumer.loop.call_soon_threadsafe(consumer.transport.listener.group_lost)
        return super().on_partitions_revoked(revoked)


class ConsumerFetcher:
    """The consumer as lanes see it: a :class:`stream.engine.fetches.Fetcher` for the main event loop.

    Faust makes its consumer when the consumer is first needed, in the loop that then runs. That is why this class asks
    the app for it each time.

    Parameters
    ----------
    app
        The Faust app.
    connection
        The cluster.
    """

    def __init__(self, app: faust.App, connection: Connection) -> None:
        self._app = app
        self._connection = connection

    def __repr__(self) -> str:
        return f"<ConsumerFetcher of {self._app.conf.id}>"

    @property
    def _thread(self) -> BatchThread:
        thread: BatchThread = self._app.consumer._thread
        return thread

    @property
    def member(self) -> str:
        """Name that the group has given this process; empty while it is no member."""
        return self._thread.member

    @property
    def generation(self) -> int:
        """Number of the group's assignment that this process has; -1 while it is no member."""
        return self._thread.generation

    @property
    def failure(self) -> BaseException | None:
        """Error that keeps this process out of its group for good; ``None`` while there is none."""
        return self._thread.failure

    def read_to(self, tp: TP) -> ReadTo | None:
        """Return the consumer's progress in a partition; ``None`` before its first fetch."""
        return self._thread.read_to.get(tp)

    @property
    def has_consumer(self) -> bool:
        """Whether the consumer exists; it is created once a broker answers."""
        return self._thread.has_consumer

    def wake(self) -> None:
        """Let the consumer ask again which partitions are wanted."""
        self._thread.wake()

    async def seek(self, tp: TP, offset: int) -> int:
        """Continue a partition at ``offset``; return the epoch of the fetches that follow."""
        thread = self._thread
        return await thread.in_thread(thread.seek_to(tp, offset))

    async def bounds(self, tp: TP) -> tuple[int, int | None]:
        """Return the offset of the first record, and the offset after the last one; ``None`` if it is not known."""
        if not self._connection.transactions:
            return 0, None  # the embedded broker reports too low an end, and stores everything while it runs
        thread = self._thread
        return await thread.in_thread(thread.bounds(tp))

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the group's committed offset of a partition."""
        thread = self._thread
        return await thread.in_thread(thread.committed_offset(tp))

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit the group's offsets; only a member of the group can do so."""
        thread = self._thread
        await thread.in_thread(thread.commit_offsets(offsets))
