"""Records as aiokafka's parser makes them, without the wrapping that costs as much as all the rest of reading one.

Around each record that its C parser has made, aiokafka builds a second one with topic, partition, headers and sizes: a
third of what it costs to read and decode an event. Who needs no more than :class:`models.batch.Record` passes
:func:`as_they_are` as the consumer's ``key_deserializer``, and gets the parser's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError


def as_they_are(content: bytes | None) -> bytes | None:
    """Deserialize nothing; also the mark by which a consumer asks for lean records."""
    return content


class LeanPartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """What one fetch gave of one partition; lean for the consumers that ask for it, aiokafka's own for all others."""

    def __iter__(self) -> Iterator[Any]:
        # aiokafka's own generator at once, for every consumer: its `__next__` only passes each record on
        return self._records_iterator or iter(())

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        if self._key_deserializer is as_they_are:
            return record
        return super()._consumer_record(tp, record)

    def _contains_abort_marker(self, batch: object) -> bool:
        """Take a control batch without its record for no abort marker, as Kafka's own consumer does.

        Kafka's cleaner leaves such a batch of a transaction in a compacted topic; aiokafka raises there.
        """
        try:
            return bool(super()._contains_abort_marker(batch))
        except KafkaError as error:
            if "did not contain any records" not in str(error):
                raise
            return False


def install() -> None:
    """Make this process's consumers use :class:`LeanPartitionRecords`; needed once, before the first one fetches."""
    # aiokafka's fetcher takes the class from its own module and offers no other way in.
    fetcher.PartitionRecords = LeanPartitionRecords
