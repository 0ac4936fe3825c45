"""The buffer of a lane's fetched records: it is bounded in records and bytes, and notices lost fetches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from faust.types import TP

from models.batch import Record
from stream.engine.errors import LogEndsBefore
from stream.engine.fetches import Fetch

MAX_FETCHES = 64
"""Maximum number of fetches that wait in one buffer, however small they are."""
MAX_BYTES = 16 << 20
"""Maximum number of bytes that wait in one buffer. A fetch has at most one mebibyte, or one record."""


class _Part(NamedTuple):
    records: Sequence[Record]
    size: int


class FetchBuffer:
    """Records of one partition, in offset order and without a gap since the last :meth:`reset`.

    Parameters
    ----------
    tp
        The partition.
    max_records
        The buffer is full when this many records wait. One more fetch may already be in flight.
    max_bytes
        The buffer is also full when this many bytes wait.

    Attributes
    ----------
    waiting
        Number of records that wait.
    changed
        Set whenever a fetch was added; the reader clears it.
    """

    def __init__(self, tp: TP, max_records: int, max_bytes: int = MAX_BYTES) -> None:
        self._tp = tp
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._parts: deque[_Part] = deque()
        self._epoch = -1
        self._sequence = 0
        self._position = 0
        self._bytes = 0
        self.waiting = 0
        self.changed = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<FetchBuffer {self._tp.topic}-{self._tp.partition} waiting={self.waiting} bytes={self._bytes} "
            f"epoch={self._epoch} position={self._position}>"
        )

    @property
    def epoch(self) -> int:
        """Number of the seek whose fetches are accepted."""
        return self._epoch

    @property
    def full(self) -> bool:
        """Whether the buffer should get no more records. An empty one is never full, however large a record is."""
        return self.waiting >= self._max_records or self._bytes >= self._max_bytes or len(self._parts) >= MAX_FETCHES

    def reset(self, epoch: int, position: int) -> None:
        """Remove all records; from now on only fetches of ``epoch`` count, beginning at ``position``."""
        self._parts.clear()
        self.waiting = self._bytes = 0
        self._epoch = epoch
        self._sequence = 0
        self._position = position

    def has_taken(self, epoch: int, sequence: int) -> bool:
        """Return whether all of the first ``sequence`` fetches of ``epoch`` arrived and were taken."""
        return not self.waiting and (self._epoch, self._sequence) == (epoch, sequence)

    def put(self, fetch: Fetch) -> bool:
        """Add a fetch; return ``False`` if an earlier fetch was lost.

        Faust empties its queues at a rebalance. Therefore, epochs and sequence numbers show whether a fetch was lost
        between the consumer and this buffer.

        Raises
        ------
        LogEndsBefore
            The fetch begins before the position. aiokafka moves back only if the log ends before the position, and
            then to the beginning of the log.
        """
        if fetch.epoch != self._epoch:
            return True
        if fetch.sequence != self._sequence:
            return False
        self._sequence += 1
        records = fetch.records
        if records[0].offset < self._position:
            raise LogEndsBefore(self._tp.topic, self._tp.partition, self._position, None)
        self._position = records[-1].offset + 1
        size = _size(records)
        self._parts.append(_Part(records, size))
        self.waiting += len(records)
        self._bytes += size
        self.changed.set()
        return True

    def take(self, max_records: int) -> list[Record]:
        """Remove and return all that waits, but at most ``max_records`` records."""
        taken: list[Record] = []
        while self._parts and len(taken) < max_records:
            records, size = self._parts.popleft()
            room = max_records - len(taken)
            if len(records) > room:
                rest = records[room:]
                rest_size = _size(rest)
                self._parts.appendleft(_Part(rest, rest_size))
                records, size = records[:room], size - rest_size
            taken.extend(records)
            self._bytes -= size
        self.waiting -= len(taken)
        return taken


def _size(records: Sequence[Record]) -> int:
    # two lists cost a third less than one generator
    return sum([len(record.key or b"") for record in records]) + sum([len(record.value or b"") for record in records])
