"""Reference of a round: the log folded once, by one process without a fault; real workers must give the same result."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from models.batch import Batch, Restored
from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.events import HandoverNote, decode_event
from models.fold.partition import PartitionFold
from models.log import USE_KEY, Use, decode_control, is_control
from stream.cluster.connection import Connection

EVENTS = "events"
CLICK = "unsubscribe link"
"""Reason of the withdrawal that the HTTP door writes when a recipient follows an unsubscribe link."""
_WAIT_MS = 50


class Reference:
    """A fold of ``events`` up to the current end; use it with ``async with``.

    Attributes
    ----------
    states
        Expected state of every partition.
    outputs
        Expected keys and values of the records written, by topic.
    outcomes
        Outcomes of our messages in the log, by message id.
    ids
        Number of times that each event is in the log, by its id.
    clicks
        Number of clicks on an unsubscribe link in the log, by user.
    broadcasts
        By partition: the versions of each model that were written to the log, with their content.
    """

    def __init__(self, connection: Connection, partitions: int) -> None:
        self._places = [TopicPartition(connection.topic(EVENTS), partition) for partition in range(partitions)]
        self._consumer, self._exact = reader(connection), connection.transactions
        self.states = [Restored(partition=partition) for partition in range(partitions)]
        self._folds = [PartitionFold(state) for state in self.states]
        self._due: list[int | None] = [None] * partitions
        self.outputs: dict[str, Counter[tuple[bytes, bytes | None]]] = {}
        self.outcomes: dict[str, Counter[str]] = {}
        self.ids: Counter[str] = Counter()
        self.clicks: Counter[str] = Counter()
        self.broadcasts: list[dict[str, dict[int, bytes]]] = [{} for _ in range(partitions)]
        self._moved: set[tuple[bytes, bytes | None]] = set()

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        # Let aiokafka's tasks begin. To stop a task that never began raises an error, which would hide an earlier one.
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    @property
    def positions(self) -> list[int]:
        """Position up to which each partition is folded."""
        return [state.position for state in self.states]

    @property
    def next_due(self) -> int | None:
        """Time at which the earliest timer of all partitions is due, milliseconds."""
        return min((due for due in self._due if due is not None), default=None)

    @property
    def messages(self) -> list[str]:
        """Ids of the e-mails that were decided on, without the notices that follow some of them."""
        said = [value for _, value in self.outputs.get("messages.email", Counter()).elements()]
        return [decode_message(value).id for value in said if value is not None and not is_notice(value)]

    @property
    def between_profiles(self) -> int:
        """Number of records from one profile to another that are not in the log yet."""
        return len(self.outputs.get("outcomes", Counter()).keys() - self._moved)

    async def catch_up(self) -> None:
        """Fold up to the current end of the log."""
        async for record_batch in to_end(self._consumer, self._places, exact=self._exact):
            for place, records in record_batch.items():
                self._fold(place.partition, records)

    def _fold(self, partition: int, records: list[ConsumerRecord]) -> None:
        state = self.states[partition]
        outputs = self._folds[partition].fold(Batch(EVENTS, partition, records))
        state.apply(outputs.commit)
        state.position = records[-1].offset + 1
        self._due[partition] = outputs.next_due
        for topic, key, value in outputs.commit.records:
            self.outputs.setdefault(topic, Counter())[key, value] += 1
        for record in records:
            if record.key == USE_KEY:
                use = decode_control(record.value)
                assert isinstance(use, Use)
                self.broadcasts[partition].setdefault(use.name, {})[use.version] = bytes(use.content)
            if not is_control(record.key):
                event = decode_event(record.value)
                if event.identity is not None and not isinstance(event.identity, HandoverNote):
                    # it comes from another profile
                    self._moved.add((record.key, record.value))
                    continue
                self.ids[event.id] += 1
                self.clicks[event.user] += event.reason == CLICK
                if event.message is not None:
                    self.outcomes.setdefault(event.message, Counter())[event.type] += 1


async def committed(connection: Connection, topic: str, partitions: int) -> list[ConsumerRecord]:
    """Return all records of a topic that ``read_committed`` shows, after all writers have ended."""
    consumer = reader(connection)
    places = [TopicPartition(connection.topic(topic), partition) for partition in range(partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        found = to_end(consumer, places, exact=connection.transactions)
        return [record async for batches in found for records in batches.values() for record in records]
    finally:
        await consumer.stop()


def reader(connection: Connection) -> AIOKafkaConsumer:
    """Return a consumer of committed records from the beginning, not started yet."""
    return AIOKafkaConsumer(
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=_WAIT_MS,
    )


async def to_end(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], *, exact: bool, within_s: float = 60
) -> AsyncIterator[dict[TopicPartition, list[ConsumerRecord]]]:
    """Yield the records up to the current end.

    The embedded broker lists an end that is too low. So if not ``exact``, the end is the high watermark of the second
    answer to a fetch after this call. The first answer may belong to a fetch that began before this call.
    """
    began_ms = time.time_ns() // 1_000_000
    ends = await consumer.end_offsets(places)
    deadline = time.monotonic() + within_s
    first_answers: dict[TopicPartition, int] = {}

    async def is_read(place: TopicPartition) -> bool:
        position = await consumer.position(place)
        if exact or position < ends[place]:
            return bool(position >= ends[place])
        answered_ms, end = consumer.last_poll_timestamp(place) or 0, consumer.highwater(place)
        if answered_ms < began_ms or answered_ms == first_answers.setdefault(place, answered_ms):
            return False
        return bool(position >= end)

    while not all([await is_read(place) for place in places]):
        assert time.monotonic() < deadline, f"not read to {ends} within {within_s:g} s"
        yield await consumer.getmany(timeout_ms=200 if exact else _WAIT_MS)
