"""Record batches through Faust: one fetch of one partition is one Faust event, delivered to lanes that are ready.

A subclass of Faust's aiokafka transport. Faust keeps the group, the assignment and the agents; it reads no offsets,
commits none and seeks nowhere: lanes do.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from models.batch import Record
from stream.cluster import lean_records
from stream.cluster.connection import Connection
from stream.transport.assignor import EvenAssignor
from stream.transport.subscription import BatchConductor

log = logging.getLogger(__name__)

FETCH_WAIT_MS = 50
"""How long a broker may hold a fetch that finds nothing. It answers as soon as one of the partitions has something, so
this is no latency; but what a lane that was full, or has sought, wants next waits for it. An idle worker costs Apache
Kafka 7 % of a core at 50, 16 % at 25."""
EMBEDDED_FETCH_WAIT_MS = 20
"""The embedded broker answers late: a hop's median is a quarter of the wait."""
PREFETCH_BACKOFF_S = 0.005
"""How long aiokafka holds back a fetch for the other partitions while one's records are not taken (default 0.1)."""
FETCH_RECORDS = 5_000
CONNECT_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between attempts to reach a broker. A process that ends because none is there yet would only be started again."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ReadTo:
    """How far the consumer is in one partition.

    Attributes
    ----------
    epoch, sequence
        Epoch of the last seek, and how many deliveries there were since.
    position
        Offset of the next fetch; behind the last delivered record there may be markers of transactions, and gaps.
    high_watermark
        End of the partition as the last fetch saw it.
    fetched_ms
        When that was answered, by this machine's clock.
    """

    epoch: int
    sequence: int
    position: int
    high_watermark: int
    fetched_ms: int = 0


@dataclass(slots=True)
class Delivery:
    """What one fetch gave of one partition.

    Attributes
    ----------
    records
        In offset order, at least one.
    epoch
        Which seek of the partition it was read after; what was read before the last one does not count.
    sequence
        0, 1, 2 ... since that seek, so that whoever receives it sees a gap.
    """

    records: Sequence[Record]
    epoch: int
    sequence: int


class Listener(Protocol):
    """Who receives deliveries and is told of rebalances, in the main thread but for :meth:`wanted`."""

    @property
    def topics(self) -> frozenset[str]:
        """Physical names of all that it may receive."""

    def wanted(self) -> frozenset[TP]:
        """Partitions that can take records now; asked in the consumer's thread."""

    def place_lost(self, tp: TP, epoch: int) -> None:
        """Tell that a log has nothing where it was read, since the seek that began ``epoch``."""

    def group_lost(self) -> None:
        """Tell that the group went on without this member."""

    def reading_failed(self, error: Exception) -> None:
        """Tell that nothing more can be read."""

    async def settle(self) -> None:
        """Finish or abort what is being committed, and begin nothing new."""

    async def close(self) -> None:
        """End everything."""


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust's types are skipped
    """The consumer's own thread and loop; everything here runs in it unless it says otherwise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read_to: dict[TP, ReadTo] = {}
        self._epochs: dict[TP, int] = {}
        self._sequences: dict[TP, int] = {}
        self._wake: asyncio.Event | None = None
        # The embedded broker keeps everything for as long as it lives, and cannot say where a log ends.
        self._tells_lost_places: bool = self.consumer.transport.connection.transactions

    async def on_start(self) -> None:
        """Create the consumer, as soon as a broker answers; it joins the group when Faust subscribes."""
        self._wake = asyncio.Event()
        pauses = itertools.chain(CONNECT_AGAIN_S, itertools.repeat(CONNECT_AGAIN_S[-1]))
        while not self.should_stop:
            try:
                await super().on_start()
            except KafkaConnectionError as error:
                await self._consumer.stop()
                pause = next(pauses)
                log.warning("no broker answers; trying again in %g s: %s", pause, error)
                await self.sleep(pause)
            else:
                self._consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
                return

    def _create_worker_consumer(self, transport: BatchTransport) -> AIOKafkaConsumer:
        connection = transport.connection
        self._assignor = EvenAssignor
        return lean_records.make_consumer(
            **connection.client_options(),
            group_id=self.app.conf.id,
            client_id=self.app.conf.broker_client_id,
            partition_assignment_strategy=[EvenAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS if connection.transactions else EMBEDDED_FETCH_WAIT_MS,
            session_timeout_ms=int(connection.session_timeout_s * 1_000),
            heartbeat_interval_ms=int(connection.heartbeat_interval_s * 1_000),
            rebalance_timeout_ms=10_000,
            # The main loop asks for records all the time, also when no lane can take any: who does not for a minute
            # hangs, and its partitions go to somebody else.
            max_poll_interval_ms=60_000,
            request_timeout_ms=15_000,
            retry_backoff_ms=100,
        )

    # --- called from the main thread

    @property
    def member(self) -> str:
        """The name that the group has given this process; empty while it is no member."""
        coordinator = self._coordinator
        return "" if coordinator is None else str(coordinator.member_id)

    @property
    def failure(self) -> BaseException | None:
        """Why this process can be no member, and will not try again.

        aiokafka tells that to whoever fetches, which nobody does before the first assignment, nor between two.
        """
        coordinator = self._coordinator
        if coordinator is None:
            return None
        routine = coordinator._coordination_task
        ended = routine.exception() if routine.done() and not routine.cancelled() else None
        failure: BaseException | None = ended or coordinator._pending_exception
        return failure

    @property
    def _coordinator(self) -> Any:
        consumer = self._consumer
        return None if consumer is None else consumer._coordinator

    def wake(self) -> None:
        """Look again at which partitions are wanted."""
        if self._wake is not None and not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(self._wake.set)

    async def in_thread(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run it in this thread's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop))

    # --- called in this thread

    async def fetch(self, listener: Listener) -> list[tuple[TP, Delivery]]:
        """Wait for records of partitions that are wanted."""
        consumer, wake = self._ensure_consumer(), self._wake
        assert wake is not None
        # aiokafka's context forgets to count down when an error passes through it.
        errors: list[BaseException] = []
        deliveries: list[tuple[TP, Delivery]] = []
        with consumer._subscription.fetch_context():
            try:
                while not deliveries and self.consumer.flow_active:
                    wake.clear()
                    deliveries = await self._fetch_or_wake(consumer, listener.wanted(), wake)
            except BaseException as error:  # noqa: BLE001 - raised again behind the context
                errors.append(error)
        if errors:
            raise errors[0]
        return deliveries

    async def _fetch_or_wake(
        self, consumer: AIOKafkaConsumer, wanted: frozenset[TP], wake: asyncio.Event
    ) -> list[tuple[TP, Delivery]]:
        if consumer._closed or consumer._fetcher._closed:
            raise driver.ConsumerStoppedError
        # Faust goes past the consumer straight to its fetcher, and would wait for ever on one that is dead.
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
            # Not yet resumed after its own wait, a fetch takes nothing out of aiokafka's buffer when it is cancelled.
            waking.cancel()
            if fetching is not None:
                fetching.cancel()
            self._note_positions(consumer, wanted)

    async def _fetch_wanted(self, consumer: AIOKafkaConsumer, wanted: frozenset[TP]) -> list[tuple[TP, Delivery]]:
        # aiokafka moves its position and returns without giving the loop away in between, so the epochs that are
        # read here are those that the records were read in.
        found = await consumer._fetcher.fetched_records(wanted, timeout=1, max_records=FETCH_RECORDS)
        deliveries = []
        for tp, records in found.items():
            tp = TP(*tp)
            sequence = self._sequences.get(tp, 0)
            self._sequences[tp] = sequence + 1
            deliveries.append((tp, Delivery(records, self._epochs.get(tp, 0), sequence)))
        return deliveries

    def _note_positions(self, consumer: AIOKafkaConsumer, tps: Iterable[TP]) -> None:
        for tp in tps:
            if not consumer._subscription.is_assigned(tp):
                continue
            state = consumer._subscription.subscription.assignment.state_value(tp)
            if state.has_valid_position and state.highwater is not None:
                epoch, sequence = self._epochs.get(tp, 0), self._sequences.get(tp, 0)
                self.read_to[tp] = ReadTo(epoch, sequence, state.position, state.highwater, state.timestamp)

    async def seek_to(self, tp: TP, offset: int) -> int:
        """Read on from ``offset``; returns the epoch that begins with it."""
        self._ensure_consumer().seek(TopicPartition(*tp), offset)
        self._sequences[tp] = 0
        epoch = self._epochs[tp] = self._epochs.get(tp, 0) + 1
        if self._tells_lost_places:
            self._watch_place(tp, epoch)
        return epoch

    def _watch_place(self, tp: TP, epoch: int) -> None:
        # aiokafka only logs that an offset is out of range, at INFO, and calls this to go somewhere else.
        state = self._ensure_consumer()._subscription.subscription.assignment.state_value(tp)
        main, listener = self.consumer.loop, self.consumer.transport.listener

        def await_reset(strategy: int) -> None:
            main.call_soon_threadsafe(listener.place_lost, tp, epoch)
            type(state).await_reset(state, strategy)

        state.await_reset = await_reset

    async def bounds(self, tp: TP) -> tuple[int, int]:
        """Offset of the first record that is there, and the one behind the last that is committed."""
        consumer, partition = self._ensure_consumer(), TopicPartition(*tp)
        starts, ends = await asyncio.gather(consumer.beginning_offsets([partition]), consumer.end_offsets([partition]))
        return starts[partition], ends[partition]

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the group's committed offset of a partition."""
        offset: int | None = await self._ensure_consumer().committed(TopicPartition(*tp))
        return offset

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit the group's offsets; only a member may."""
        await self._ensure_consumer().commit({TopicPartition(*tp): offset for tp, offset in offsets.items()})


class GroupListener(driver.ConsumerRebalanceListener):  # type: ignore[misc]  # Faust's types are skipped
    """Sees, before Faust does, that partitions are revoked because the group went on without us."""

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Any:
        """Called in the consumer's thread."""
        thread = self._thread
        revoked = set(revoked)
        if revoked and thread._ensure_consumer()._coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
            # aiokafka forgets its generation when the coordinator does not know this member any more, and only then.
            consumer = thread.consumer
            consumer.loop.call_soon_threadsafe(consumer.transport.listener.group_lost)
        return super().on_partitions_revoked(revoked)


class BatchConsumer(driver.Consumer):  # type: ignore[misc]  # Faust's types are skipped
    """Moves deliveries into Faust's agents; replaces everything in Faust that reads, writes or trusts offsets."""

    RebalanceListener = GroupListener

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Do nothing: lanes seek."""

    async def wait_empty(self) -> None:
        """Called by Faust when partitions are revoked, and when it stops."""
        await self.transport.listener.settle()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's signature
        """Commit nothing: Faust would go past events that nobody has processed."""
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: Faust looks for acks, which there are none of; the lanes know their own progress."""

    async def on_stop(self) -> None:
        """End the lanes while there still is a consumer, then let it leave the group."""
        await self.transport.listener.close()
        await super().on_stop()

    async def _drain_messages(self, fetcher: Any) -> None:
        listener: Listener = self.transport.listener
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                    continue
                for tp, delivery in await self._thread.in_thread(self._thread.fetch(listener)):
                    await self.callback(_message(tp, delivery, self.app.consumer_generation_id))
        except asyncio.CancelledError:
            # Amid a rebalance Faust takes it for a crash: whoever is asked to stop then would end as if it had failed.
            if not self.app.should_stop:
                raise
        except self.consumer_stopped_errors as error:
            if not self.app.should_stop:
                listener.reading_failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, a worker that reads nothing must not stay
            listener.reading_failed(error)


def _message(tp: TP, delivery: Delivery, generation: int) -> ConsumerMessage:
    """One Faust message for a whole delivery; Faust looks at where it belongs and when, and hands its value on."""
    last = delivery.records[-1]
    return ConsumerMessage(
        topic=tp.topic,
        partition=tp.partition,
        offset=last.offset,
        timestamp=last.timestamp / 1_000,
        timestamp_type=0,
        headers=(),
        key=last.key,
        value=delivery,
        checksum=None,
        tp=tp,
        generation_id=generation,  # Faust drops what was read before the last rebalance
    )


class SilentProducer(driver.Producer):  # type: ignore[misc]  # Faust's types are skipped
    """Faust's producer never connects: nothing is ever sent through Faust."""

    async def on_start(self) -> None:
        """Do nothing."""

    async def on_stop(self) -> None:
        """Do nothing."""

    async def flush(self) -> None:
        """Do nothing."""


class BatchTransport(driver.Transport):  # type: ignore[misc]  # Faust's types are skipped
    """Set as ``app.transport``.

    Parameters
    ----------
    app
        The Faust app.
    connection
        The cluster.
    listener
        The lanes.
    """

    Conductor = BatchConductor
    Consumer = BatchConsumer
    Producer = SilentProducer

    def __init__(self, app: faust.App, connection: Connection, listener: Listener) -> None:
        self.connection = connection
        self.listener = listener
        super().__init__(app.conf.broker, app)
