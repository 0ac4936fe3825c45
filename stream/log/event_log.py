"""The one writer of ``events`` outside the router: for the HTTP door, the replay, the simulator and the commands.

Its producer is idempotent and never transactional: a writer frozen inside a transaction would hold back every reader
of the partition. A repeat is dropped by its ``messageId``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from models.batch import Output
from models.errors import PerennialError
from models.events import Event, encode_event
from models.log import CLOCK_KEY, Clock, Tick, decode_control, encode_control
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.writer import BATCH_BYTES, check_size, stop_producer

ClockName = Literal["wall", "feeder"]

EVENTS = "events"
_FEW = 16
"""Up to here aiokafka's own queue is better: it joins what several requests have for one partition."""

_partition_of = functools.lru_cache(maxsize=1 << 17)(partition_of)  # murmur2 costs microseconds, and users come back


class LogUnavailable(PerennialError):
    """Kafka did not acknowledge in time: write the same again.

    What was written may have arrived or not; a repeat under the same ``messageId`` is dropped.
    """


class WrongClock(PerennialError):
    """The log goes by another clock: feed another installation (``kafka.prefix``), or send live events.

    Parameters
    ----------
    topic, partition
        Where it was found.
    found, wanted
        Names of the clocks.
    """

    def __init__(self, topic: str, partition: int, found: str, wanted: str) -> None:
        self.found = found
        self.wanted = wanted
        what = {
            "wall": "carries live events (its clock is the wall's)",
            "feeder": "is fed by a replay or a simulation (its clock is the feeder's)",
        }
        takes = {"wall": "live events", "feeder": "a replay or a simulation"}
        super().__init__(
            f"{topic} {what.get(found, found)}, as its partition {partition} says, so it cannot take "
            f"{takes.get(wanted, wanted)}; use another kafka.prefix, or start with an empty log"
        )


class Appended(NamedTuple):
    """Where a record came to stand; an offset of -1 where the broker had it already and did not say."""

    partition: int
    offset: int


class EventLog:
    """An open writer of ``events``; use it with ``async with``.

    Parameters
    ----------
    connection
        Where, and under which prefix.
    partitions
        Of ``events``; the topics exist already.
    timeout_s
        How long a write waits for its acknowledgement.
    """

    def __init__(self, connection: Connection, partitions: int, *, timeout_s: float = 10.0) -> None:
        self._connection = connection
        self._partitions = partitions
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the producer; what was acknowledged stays."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer, 3.0)

    async def append(self, events: Sequence[Event]) -> list[Appended]:
        """Write events, each into its user's partition, in their order, and return when all are acknowledged.

        Returns
        -------
        list of Appended
            One for each event, in the same order.

        Raises
        ------
        LogUnavailable
            Not all of them were acknowledged.
        """
        outputs = [Output(EVENTS, event.user.encode(), encode_event(event)) for event in events]
        return await self.write(outputs)

    async def write(self, outputs: Sequence[Output]) -> list[Appended]:
        """Write records of any topic by their keys; see :meth:`append`.

        Raises
        ------
        OutputTooLarge
            Before anything is written.
        """
        for output in outputs:
            check_size(output.topic, output.key, output.value)
        places = [
            (
                self._connection.topic(output.topic),
                _partition_of(output.key, topics.topic(output.topic).partitions(self._partitions)),
            )
            for output in outputs
        ]
        return await self._write(
            [(*place, output.key, output.value) for place, output in zip(places, outputs, strict=True)]
        )

    async def broadcast(self, key: bytes, value: bytes) -> list[Appended]:
        """Write one control record to every partition of ``events``; see :meth:`append`."""
        topic = self._connection.topic(EVENTS)
        return await self._write([(topic, partition, key, value) for partition in range(self._partitions)])

    async def write_at(self, records: Sequence[tuple[int, bytes, bytes]]) -> list[Appended]:
        """Write (partition, key, value) to ``events``, in their order within each partition; see :meth:`append`."""
        for _, key, value in records:
            check_size(EVENTS, key, value)
        topic = self._connection.topic(EVENTS)
        return await self._write([(topic, partition, key, value) for partition, key, value in records])

    async def reachable(self, within_s: float) -> bool:
        """Whether Kafka answers within ``within_s`` seconds."""
        try:
            async with asyncio.timeout(within_s):
                producer = await self._started()
                # the producer's own bookkeeping: no public call asks the cluster anew
                return bool(await producer.client.force_metadata_update())
        except (KafkaError, OSError, TimeoutError):
            return False

    async def tick(self, at: int) -> None:
        """Move a feeder's clock: simulated time ``at``, milliseconds, is now."""
        await self.broadcast(*encode_control(Tick(at=at)))

    async def ensure_clock(self, clock: ClockName) -> None:
        """Name the clock of an empty log, or check that it is this one.

        Every partition's first record names the clock; one that begins with anything else goes by the wall's.

        Raises
        ------
        WrongClock
            The log goes by the other clock.
        LogUnavailable
            Kafka did not answer in time.
        """
        found = await self._clocks()
        self._compare(found, clock)
        empty = [partition for partition, name in found.items() if name is None]
        if not empty:
            return
        topic = self._connection.topic(EVENTS)
        key, value = encode_control(Clock(clock=clock))
        await self._write([(topic, partition, key, value) for partition in empty])
        # Somebody else may have been first, with the other clock: the first record counts.
        self._compare(await self._clocks(), clock)

    def _compare(self, found: dict[int, str | None], wanted: ClockName) -> None:
        for partition, name in sorted(found.items()):
            if name is not None and name != wanted:
                raise WrongClock(self._connection.topic(EVENTS), partition, name, wanted)

    async def _clocks(self) -> dict[int, str | None]:
        """Clock of each partition; ``None`` where it is empty."""
        topic = self._connection.topic(EVENTS)
        all_of_it = [TopicPartition(topic, partition) for partition in range(self._partitions)]
        reader = AIOKafkaConsumer(
            **self._connection.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        clocks: dict[int, str | None] = dict.fromkeys(range(self._partitions))
        try:
            async with asyncio.timeout(self._timeout_s):
                await reader.start()
                begins, ends = await reader.beginning_offsets(all_of_it), await reader.end_offsets(all_of_it)
                # The embedded broker's answer for the end is too low, but never that of an empty partition.
                waiting = {place for place in all_of_it if ends[place] > begins[place]}
                reader.assign(list(waiting))
                while waiting:
                    batches = await reader.getmany(*waiting, timeout_ms=200, max_records=len(waiting))
                    for place, records in batches.items():
                        clocks[place.partition] = _clock_of(records[0].key, records[0].value)
                        waiting.discard(place)
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        finally:
            await reader.stop()
        return clocks

    async def _write(self, records: Sequence[tuple[str, int, bytes, bytes | None]]) -> list[Appended]:
        """Write (topic, partition, key, value) and return where each came to stand."""
        if not records:
            return []
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._started()
                send = _send_few if len(records) <= _FEW else _send_many
                answers = await send(producer, records)
                # asyncio.wait and not gather: a timeout must not cancel futures that the producer still holds
                await asyncio.wait([answer for answer, _ in answers])
                return [_appended(answer.result(), at) for answer, at in answers]
        except (KafkaError, OSError, TimeoutError) as error:
            # An idempotent producer would go on trying for ever; a new one begins with nothing in its queue.
            if producer is not None and self._producer is producer:
                self._producer = None
                await stop_producer(producer, 1.0)
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> LogUnavailable:
        why = (
            f"within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else f"({type(error).__name__}: {error})"
        )
        return LogUnavailable(f"Kafka at {self._connection.servers} did not acknowledge {why}; try again")

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._connection.client_options(),
                    enable_idempotence=self._connection.idempotence,
                    acks="all",
                    max_batch_size=BATCH_BYTES,
                    retry_backoff_ms=20,
                    request_timeout_ms=int(self._timeout_s * 1000),
                )
                try:
                    await producer.start()
                except BaseException:
                    await stop_producer(producer, 1.0)
                    raise
                self._producer = producer
            return self._producer


Answers = list[tuple["asyncio.Future[Any]", int]]


async def _send_few(producer: AIOKafkaProducer, records: Iterable[tuple[str, int, bytes, bytes | None]]) -> Answers:
    return [
        (await producer.send(topic, value, key, partition=partition), 0) for topic, partition, key, value in records
    ]


async def _send_many(producer: AIOKafkaProducer, records: Sequence[tuple[str, int, bytes, bytes | None]]) -> Answers:
    by_place: dict[tuple[str, int], list[int]] = {}
    for index, (topic, partition, _, _) in enumerate(records):
        by_place.setdefault((topic, partition), []).append(index)
    answers: dict[int, tuple[asyncio.Future[Any], int]] = {}
    for (topic, partition), indexes in by_place.items():
        begin = 0
        while begin < len(indexes):
            batch = producer.create_batch()
            end = begin
            while end < len(indexes):
                _, _, key, value = records[indexes[end]]
                if batch.append(key=key, value=value, timestamp=None) is None:
                    break
                end += 1
            batch.close()
            answer = await producer.send_batch(batch, topic, partition=partition)
            for place in range(begin, end):
                answers[indexes[place]] = (answer, place - begin)
            begin = end
    return [answers[index] for index in range(len(records))]


def _appended(metadata: Any, place: int) -> Appended:
    return Appended(metadata.partition, metadata.offset + place if metadata.offset >= 0 else -1)


def _clock_of(key: bytes | None, value: bytes | None) -> str:
    if key != CLOCK_KEY:
        return "wall"
    control = decode_control(value or b"")
    return control.clock if isinstance(control, Clock) else "wall"
