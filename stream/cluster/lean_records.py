"""Records as aiokafka's C parser makes them, without a second object around each of them.

aiokafka builds a second object around each record of its parser, with topic, partition, headers and sizes. That is a
third of the cost of reading and decoding an event. A consumer that needs no more than :class:`models.batch.Record` gets
the parser's records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError

__all__ = ["LeanPartitionRecords", "make_consumer"]


def keep(content: bytes | None) -> bytes | None:
    """Return the key unchanged; with this deserializer a consumer gets lean records."""
    return content


class LeanPartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Records of one fetch of one partition: lean for consumers of :func:`make_consumer`, aiokafka's for others."""

    def __iter__(self) -> Iterator[Any]:
        # Return aiokafka's generator itself, because aiokafka's own `__next__` only passes each of its records on.
        return self._records_iterator or iter(())

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        if self._key_deserializer is keep:
            return record
        return super()._consumer_record(tp, record)

    def _contains_abort_marker(self, batch: object) -> bool:
        """Return False for a control batch without a record, as Kafka's consumer does.

        Kafka's cleaner may leave such a batch in a compacted topic. aiokafka itself would raise an error for it.
        """
        try:
            return bool(super()._contains_abort_marker(batch))
        except KafkaError as error:
            if "did not contain any records" not in str(error):
                raise
            return False


def make_consumer(**options: Any) -> AIOKafkaConsumer:
    """Create a consumer of aiokafka whose records have an offset, a timestamp, a key and a value, and no more.

    Parameters
    ----------
    options
        Options of ``AIOKafkaConsumer``, without a deserializer of keys.
    """
    # aiokafka's fetcher takes the class from its own module and offers no other way to replace it.
    fetcher.PartitionRecords = LeanPartitionRecords
    return AIOKafkaConsumer(**options, key_deserializer=keep)
