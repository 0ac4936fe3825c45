"""The one reader of topics. It has no consumer group: its owner names the partitions and the first positions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aiokafka import TopicPartition

from models.batch import Record
from stream.cluster import lean_records, patient_fetches
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerSilent, map_kafka_errors

__all__ = ["ReadOptions", "TopicReader", "blocking", "partitions_of"]

SILENCE_S = 60.0
"""How long :meth:`TopicReader.read_to_end` waits for an answer of the broker before it fails, seconds."""
POLL_MS = 200
"""How long one poll waits for records, milliseconds."""
IDLE_POLL_MS = 1_000
"""How long one poll waits for records after everything was read, milliseconds."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Way in which a reader fetches.

    Attributes
    ----------
    begin
        Whether it begins at the first record of each partition; otherwise it begins after the last record.
    committed
        Whether it skips records of open and aborted transactions (``read_committed``).
    wait_ms
        How long the broker may keep a fetch that finds no records, milliseconds.
    idle_wait_ms
        The same after everything was read; ``None`` for ``wait_ms``. A longer wait suits a reader that follows a topic
        and polls all the time. A reader that is asked for the end of a topic would answer late.
    fetch_bytes
        Maximum number of bytes that one fetch returns from one partition.
    request_timeout_ms, retry_backoff_ms
        aiokafka's options of the same names.
    """

    begin: Literal["beginning", "end"] = "beginning"
    committed: bool = True
    wait_ms: int = 50
    idle_wait_ms: int | None = None
    fetch_bytes: int = 1 << 20
    request_timeout_ms: int = 40_000
    retry_backoff_ms: int = 100


def partitions_of(connection: Connection, topic: str, count: int) -> list[TopicPartition]:
    """Return the partitions of a logical topic.

    Examples
    --------
    >>> partitions_of(Connection("localhost:9092"), "events", 2)
    [TopicPartition(topic='perennial.events', partition=0), TopicPartition(topic='perennial.events', partition=1)]
    """
    return [TopicPartition(connection.topic(topic), number) for number in range(count)]


class TopicReader:
    """A reader of some partitions; use it with ``async with``.

    Iterating over it gives the records of one partition after the other, as they arrive, without an end. The records
    have no topic, partition or headers, which makes reading them a third cheaper.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Partitions to read.
    options
        Way in which it fetches.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer; every method that asks Kafka can raise it.
    """

    def __init__(
        self, connection: Connection, partitions: Iterable[TopicPartition], options: ReadOptions | None = None
    ) -> None:
        self.partitions: Sequence[TopicPartition] = tuple(partitions)
        self._connection = connection
        self._options = options or ReadOptions()
        self._started: Any = None
        self._fetched = asyncio.Event()

    def __repr__(self) -> str:
        shown = ", ".join(f"{place.topic}[{place.partition}]" for place in self.partitions[:4])
        return f"TopicReader({shown}{', ...' if len(self.partitions) > 4 else ''})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect to Kafka; ``async with`` does it as well."""
        options = self._options
        consumer = lean_records.make_consumer(
            **self._connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest" if options.begin == "beginning" else "latest",
            isolation_level="read_committed" if options.committed else "read_uncommitted",
            fetch_max_wait_ms=options.wait_ms,
            max_partition_fetch_bytes=options.fetch_bytes,
            request_timeout_ms=options.request_timeout_ms,
            retry_backoff_ms=options.retry_backoff_ms,
        )
        try:
            with self._errors():
                await consumer.start()
                await asyncio.sleep(0)  # lets aiokafka's tasks begin, because stopping one before that raises an error
                if options.idle_wait_ms is not None:
                    patient_fetches.wait_longer_when_idle(
                        consumer, wait_ms=options.wait_ms, idle_wait_ms=options.idle_wait_ms, on_turn=self._fetched.set
                    )
                consumer.assign(list(self.partitions))
        except BaseException:
            await consumer.stop()
            raise
        self._started = consumer

    async def stop(self) -> None:
        """Close the connection to Kafka, if there is one."""
        consumer, self._started = self._started, None
        if consumer is not None:
            await consumer.stop()

    async def __aiter__(self) -> AsyncIterator[tuple[TopicPartition, Sequence[Record]]]:
        while True:
            for place, records in (await self.poll()).items():
                yield place, records

    async def poll(
        self, *partitions: TopicPartition, timeout_ms: int | None = None, max_records: int | None = None
    ) -> dict[TopicPartition, Sequence[Record]]:
        """Return the records that have arrived; wait at most ``timeout_ms`` if there are none.

        Parameters
        ----------
        partitions
            Return only records of these partitions; by default, of all partitions.
        timeout_ms
            How long it may wait, milliseconds; by default, longer once everything was read.
        max_records
            Maximum number of records.
        """
        if timeout_ms is None:
            is_patient = self._options.idle_wait_ms is not None and patient_fetches.has_read_everything(self._consumer)
            timeout_ms = IDLE_POLL_MS if is_patient else POLL_MS
        with self._errors():
            found: dict[TopicPartition, Sequence[Record]] = await self._consumer.getmany(
                *partitions, timeout_ms=timeout_ms, max_records=max_records
            )
            return found

    async def await_answer(self, within_s: float) -> None:
        """Wait at most ``within_s`` seconds until a fetch was answered since the last call, even without records."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._fetched.wait()
        self._fetched.clear()

    def pause(self) -> None:
        """Fetch nothing more until :meth:`resume`."""
        self._consumer.pause(*self.partitions)

    def resume(self) -> None:
        """Fetch again from all partitions."""
        self._consumer.resume(*self.partitions)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Continue in a partition at an offset."""
        self._consumer.seek(place, offset)

    async def position(self, place: TopicPartition) -> int:
        """Return the offset of the next record to read in a partition."""
        with self._errors():
            return int(await self._consumer.position(place))

    async def begins(self) -> dict[TopicPartition, int]:
        """Return the offset of the first record of each partition."""
        with self._errors():
            found: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(self.partitions))
            return found

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the offset after the last record of each partition, as the broker lists it.

        If the reader skips open transactions and one is open, this is the first offset of the first open transaction.
        The end that the embedded broker lists is too low, except for an empty partition.
        """
        with self._errors():
            found: dict[TopicPartition, int] = await self._consumer.end_offsets(list(self.partitions))
            return found

    def watermark(self, place: TopicPartition) -> int | None:
        """Return the offset after the last record of a partition, as given by the newest answer to a fetch.

        ``None`` if no fetch was answered yet. The offset is also after the records of open transactions. It is right on
        the embedded broker as well.
        """
        found: int | None = self._consumer.highwater(place)
        return found

    def answered_at(self, place: TopicPartition) -> int | None:
        """Return the time of the newest answer to a fetch of a partition, milliseconds; ``None`` if there is none."""
        found: int | None = self._consumer.last_poll_timestamp(place)
        return found

    async def lag(self) -> int | None:
        """Return the number of records that are not read yet; ``None`` before the first answer of a partition."""
        # Read all watermarks first: before the first answer a position may be unknown, and asking for it would wait.
        ends = [(place, end) for place in self.partitions if (end := self.watermark(place)) is not None]
        if len(ends) < len(self.partitions):
            return None
        return sum([max(0, end - await self.position(place)) for place, end in ends])

    async def read_to_end(
        self,
        *,
        silence_s: float = SILENCE_S,
        max_records: int | None = None,
        end: int | None = None,
        is_paused: Callable[[TopicPartition], bool] = lambda _: False,
    ) -> AsyncGenerator[tuple[TopicPartition, Sequence[Record]]]:
        """Yield the records that the partitions contain now, from the reader's positions on.

        On Apache Kafka, a reader that skips open transactions ends before the first of them, so it waits for no
        transaction.

        Parameters
        ----------
        silence_s
            How long to wait for an answer of the broker, seconds.
        max_records
            Maximum number of records in one poll.
        end
            Offset at which the reading ends in each partition, instead of the partition's end. The last batch may also
            contain records after this offset.
        is_paused
            Returns whether a partition is not read now. The reading ends when all partitions with more records are
            paused.

        Raises
        ------
        BrokerSilent
            The broker gave no answer for ``silence_s`` seconds.
        """
        wanted = await self._listed_ends() if end is None else dict.fromkeys(self.partitions, end)
        trusted = end is not None or self._connection.transactions
        before: dict[TopicPartition, int] = {}
        moved_at = time.monotonic()
        while True:
            positions = {place: await self.position(place) for place in wanted}
            wanted = {
                place: target
                for place, target in wanted.items()
                if positions[place] < target or not (trusted or self._is_at_watermark(place, positions[place]))
            }
            ready = [place for place in wanted if not is_paused(place)]
            if not ready:
                return
            batches = await self.poll(*ready, max_records=max_records)
            for place, records in batches.items():
                yield place, records
            if batches or positions != before:
                before, moved_at = positions, time.monotonic()
            elif time.monotonic() - moved_at > silence_s:
                raise BrokerSilent(
                    f"{self._topics} at {self._connection.servers} gave no answer for {silence_s:g} s; try again"
                )

    async def _listed_ends(self) -> dict[TopicPartition, int]:
        """Return the end that the broker lists for each partition; on the embedded broker, without empty partitions."""
        ends = await self.ends()
        if self._connection.transactions:
            return ends
        begins = await self.begins()
        return {place: end for place, end in ends.items() if end > begins[place]}

    def _is_at_watermark(self, place: TopicPartition, position: int) -> bool:
        watermark = self.watermark(place)
        return watermark is not None and position >= watermark

    @property
    def _consumer(self) -> Any:
        assert self._started is not None, "a TopicReader has to be started"
        return self._started

    def _errors(self) -> AbstractContextManager[None]:
        return map_kafka_errors(f"{self._topics} at {self._connection.servers} cannot be read")

    @property
    def _topics(self) -> str:
        return ", ".join(sorted({place.topic for place in self.partitions}))


def blocking(items: AsyncGenerator[T]) -> Iterator[T]:
    """Yield the items of an asynchronous generator in code that has no event loop."""

    async def advance() -> T:
        return await anext(items)

    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    item = runner.run(advance())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            runner.run(items.aclose())
