"""The log read back and folded once, in one process and without a fault: what a house under fire must come out as."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from models.batch import Batch, Restored
from models.customer.fold import PartitionFold
from models.engage.messages import decode_message
from models.engage.notices import is_notice
from models.events import decode_event
from models.log import is_control
from stream.connection import Connection

EVENTS = "events"


class Reference:
    """Folds ``events`` as far as it is written; use it with ``async with``.

    Attributes
    ----------
    states
        What every partition's state comes to.
    outputs
        Keys and values of what is written, by topic.
    outcomes
        What became of our messages, by message id, as the log says.
    ids
        How often each event stands in the log, by its id.
    """

    def __init__(self, connection: Connection, partitions: int) -> None:
        self._places = [TopicPartition(connection.topic(EVENTS), partition) for partition in range(partitions)]
        self._consumer = _reader(connection)
        self.states = [Restored(partition=partition) for partition in range(partitions)]
        self._folds = [PartitionFold(state) for state in self.states]
        self._due: list[int | None] = [None] * partitions
        self.outputs: dict[str, Counter[tuple[bytes, bytes | None]]] = {}
        self.outcomes: dict[str, Counter[str]] = {}
        self.ids: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    @property
    def positions(self) -> list[int]:
        """How far each partition is folded."""
        return [state.position for state in self.states]

    @property
    def next_due(self) -> int | None:
        """When the earliest timer of all is due, milliseconds."""
        return min((due for due in self._due if due is not None), default=None)

    @property
    def messages(self) -> list[str]:
        """Ids of the e-mails that were decided on, without what follows some of them."""
        said = [value for _, value in self.outputs.get("messages.email", Counter()).elements()]
        return [decode_message(value).id for value in said if value is not None and not is_notice(value)]

    async def catch_up(self) -> None:
        """Fold on to what is the log's end now."""
        async for record_batch in _to_end(self._consumer, self._places):
            for place, records in record_batch.items():
                self._fold(place.partition, records)

    def _fold(self, partition: int, records: list[ConsumerRecord]) -> None:
        state = self.states[partition]
        outputs = self._folds[partition].fold(Batch(EVENTS, partition, records))
        state.apply(outputs)
        state.position = records[-1].offset + 1
        self._due[partition] = outputs.next_due
        for topic, key, value in outputs.records:
            self.outputs.setdefault(topic, Counter())[key, value] += 1
        for record in records:
            if not is_control(record.key):
                event = decode_event(record.value)
                self.ids[event.id] += 1
                if event.message is not None:
                    self.outcomes.setdefault(event.message, Counter())[event.type] += 1


async def committed(connection: Connection, topic: str, partitions: int) -> list[ConsumerRecord]:
    """Everything in a topic that ``read_committed`` shows, after all writers have ended."""
    consumer = _reader(connection)
    places = [TopicPartition(connection.topic(topic), partition) for partition in range(partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        return [
            record async for batches in _to_end(consumer, places) for records in batches.values() for record in records
        ]
    finally:
        await consumer.stop()


def _reader(connection: Connection) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )


async def _to_end(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], within_s: float = 60
) -> AsyncIterator[dict[TopicPartition, list[ConsumerRecord]]]:
    ends = await consumer.end_offsets(places)
    deadline = time.monotonic() + within_s
    while any([await consumer.position(place) < ends[place] for place in places]):
        assert time.monotonic() < deadline, f"not read to {ends} within {within_s:g} s"
        yield await consumer.getmany(timeout_ms=200)
