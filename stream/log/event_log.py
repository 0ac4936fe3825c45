"""The one writer of ``events`` outside the router: for the HTTP door, the replay, the simulator and the commands.

Its producer is idempotent and never transactional, because a writer that stops inside a transaction would hold back
every reader of the partition. A repeated event is dropped by its ``messageId``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

from aiokafka import TopicPartition

from models.batch import Output
from models.errors import PerennialError
from models.events import Event, encode_event
from models.log import CLOCK_KEY, EVENTS, Clock, decode_control, encode_control, opening
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.partitioner import partition_of
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.cluster.writer import Appended, Writer

__all__ = ["Appended", "ClockName", "EventLog", "LogUnavailable", "WrongClock"]

ClockName = Literal["wall", "feeder"]


class LogUnavailable(PerennialError):
    """Kafka did not acknowledge in time: write the same records again.

    The records may have arrived. A repeat under the same ``messageId`` is dropped.
    """


class WrongClock(PerennialError):
    """The log has the other clock: feed another installation (``kafka.prefix``), or send live events.

    Parameters
    ----------
    topic, partition
        Topic and partition in which the clock was found.
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


class EventLog:
    """An open writer of ``events``; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of ``events``; the topics exist already.
    timeout_s
        How long a write waits for its acknowledgement, seconds.
    """

    def __init__(self, connection: Connection, partitions: int, *, timeout_s: float = 10.0) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._partitions = partitions_of(connection, EVENTS, partitions)
        self._writer = Writer(connection, answer_within_s=timeout_s)

    def __repr__(self) -> str:
        return f"EventLog({self._connection.topic(EVENTS)!r}, {len(self._partitions)} partitions, {self._writer!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the writer; acknowledged records stay written."""
        await self._writer.close()

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
            A record is too large, and nothing was written.
        """
        return await self._write([(self._target(output), output.key, output.value) for output in outputs])

    async def broadcast(self, key: bytes, value: bytes) -> list[Appended]:
        """Write one control record to every partition of ``events``; see :meth:`append`."""
        return await self._write([(partition, key, value) for partition in self._partitions])

    async def write_at(self, records: Sequence[tuple[int, bytes, bytes]]) -> list[Appended]:
        """Write (partition, key, value) to ``events``, in their order within each partition; see :meth:`append`."""
        return await self._write([(self._partitions[partition], key, value) for partition, key, value in records])

    async def reachable(self, within_s: float) -> bool:
        """Return whether Kafka answers within ``within_s`` seconds."""
        return await self._writer.reachable(within_s)

    async def ensure_clock(self, clock: ClockName) -> None:
        """Name the clock of an empty log, or check that the log has this clock.

        The first record of every partition names the clock. A partition whose first record is something else has the
        wall clock.

        Raises
        ------
        WrongClock
            The log has the other clock.
        LogUnavailable
            Kafka did not answer in time.
        """
        found = await self._clocks()
        self._compare(found, clock)
        empty = [partition for partition, name in found.items() if name is None]
        if not empty:
            return
        key, value = encode_control(opening(clock))
        await self._write([(partition, key, value) for partition in empty])
        # Another program may have named the other clock first. The first record counts.
        self._compare(await self._clocks(), clock)

    def _compare(self, found: dict[TopicPartition, str | None], wanted: ClockName) -> None:
        for place, name in sorted(found.items()):
            if name is not None and name != wanted:
                raise WrongClock(place.topic, place.partition, name, wanted)

    async def _clocks(self) -> dict[TopicPartition, str | None]:
        """Return the clock of each partition; ``None`` for an empty one."""
        clocks: dict[TopicPartition, str | None] = dict.fromkeys(self._partitions)
        try:
            async with asyncio.timeout(self._timeout_s), TopicReader(self._connection, self._partitions) as reader:
                begins, ends = await reader.begins(), await reader.ends()
                # The end that the embedded broker lists is too low, except for an empty partition.
                waiting = {place for place in self._partitions if ends[place] > begins[place]}
                while waiting:
                    batches = await reader.poll(*waiting, max_records=len(waiting))
                    for place, records in batches.items():
                        clocks[place] = _clock_of(records[0].key, records[0].value)
                        waiting.discard(place)
        except (BrokerUnavailable, TimeoutError) as error:
            raise self._unavailable(error) from error
        return clocks

    def _target(self, output: Output) -> TopicPartition:
        count = topics.topic(output.topic).partitions(len(self._partitions))
        return TopicPartition(self._connection.topic(output.topic), partition_of(output.key, count))

    async def _write(self, records: Sequence[tuple[TopicPartition, bytes, bytes | None]]) -> list[Appended]:
        try:
            return await self._writer.append(records)
        except BrokerUnavailable as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> LogUnavailable:
        if isinstance(error, TimeoutError):
            why = f"within {self._timeout_s:g} s"
        else:
            cause = error.__cause__ or error
            why = f"({type(cause).__name__}: {cause})"
        return LogUnavailable(f"Kafka at {self._connection.servers} did not acknowledge {why}; try again")


def _clock_of(key: bytes | None, value: bytes | None) -> str:
    if key != CLOCK_KEY:
        return "wall"
    control = decode_control(value or b"")
    return control.clock if isinstance(control, Clock) else "wall"
