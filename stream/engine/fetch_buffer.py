"""What waits in front of a lane: a queue bounded in records and bytes that refuses what a seek made void."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from faust.types import TP

from models.batch import Record
from models.errors import PerennialError
from stream.transport.consumer import Delivery

DELIVERIES = 64
"""Most fetches that wait in one inbox, however small."""
WAITING_BYTES = 16 << 20
"""It is full when so much waits; a fetch is a mebibyte at most, or one record, and ``events.in`` takes large ones."""


class LogEndsBefore(PerennialError):
    """The record that is to be read next lies behind the end of its log: this is not the log that was read before.

    Reading on would pass everything up to that position in silence, so a lane refuses, until a person has decided.

    Parameters
    ----------
    topic, partition
        The log.
    position
        Offset of the record to read next, as it was committed.
    end
        Offset behind the last record; ``None`` where it is only known that the position lies behind it.
    """

    def __init__(self, topic: str, partition: int, position: int, end: int | None) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self.end = end
        where = "before that" if end is None else f"at {end}"
        super().__init__(
            f"{topic}[{partition}]: {position} is to be read next, and the log ends {where}; bring that log back, or "
            f"delete what was kept of it (its state topic, or its group's offsets) and begin anew"
        )


class PlaceLost(PerennialError):
    """The log has nothing at the position that is to be read next: where it begins and ends has to be looked at anew.

    aiokafka would go to the beginning, and pass over what lay between in silence.

    Parameters
    ----------
    topic, partition
        The log.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        super().__init__(f"{topic}[{partition}] has nothing where it was read last")


class RecordsGone(PerennialError):
    """The broker has deleted records before they were read.

    Parameters
    ----------
    topic, partition
        The log.
    position
        Offset of the record to read next, as it was committed.
    start
        Offset of the first record that is still there.
    """

    def __init__(self, topic: str, partition: int, position: int, start: int) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self.start = start
        super().__init__(
            f"{topic}[{partition}]: {position} is to be read next, and the log begins at {start}; what lies "
            f"between was deleted by the topic's retention before anybody read it, and is lost"
        )


class _Waiting(NamedTuple):
    records: Sequence[Record]
    size: int


class Inbox:
    """Records of one partition, in order and without a gap since the last :meth:`reset`.

    Parameters
    ----------
    tp
        The partition.
    limit
        It is full when this many records wait. One more fetch may already be on its way.
    most_bytes
        It is full when this many bytes wait, too.
    """

    def __init__(self, tp: TP, limit: int, most_bytes: int = WAITING_BYTES) -> None:
        self._tp = tp
        self._limit = limit
        self._most_bytes = most_bytes
        self._queue: deque[_Waiting] = deque()
        self._epoch = -1
        self._sequence = 0
        self._position = 0
        self._bytes = 0
        self.waiting = 0
        self.changed = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The one whose deliveries count."""
        return self._epoch

    @property
    def full(self) -> bool:
        """Whether no more should come; never while nothing waits, however large a record is."""
        return self.waiting >= self._limit or self._bytes >= self._most_bytes or len(self._queue) >= DELIVERIES

    def reset(self, epoch: int, position: int) -> None:
        """Forget all that waits; from now on only ``epoch`` counts, beginning at ``position``."""
        self._queue.clear()
        self.waiting = self._bytes = 0
        self._epoch = epoch
        self._sequence = 0
        self._position = position

    def has_taken(self, epoch: int, sequence: int) -> bool:
        """Whether all of the first ``sequence`` deliveries of ``epoch`` came and were taken."""
        return not self.waiting and (self._epoch, self._sequence) == (epoch, sequence)

    def put(self, delivery: Delivery) -> bool:
        """Take a delivery; returns whether all is well, ``False`` where one before it was lost on its way.

        Faust empties its queues at a rebalance, so the way from the consumer to here is not trusted.

        Raises
        ------
        LogEndsBefore
            When it begins before the position: aiokafka goes to the beginning of a log that ends before what is sought,
            and nowhere else.
        """
        if delivery.epoch != self._epoch:
            return True
        if delivery.sequence != self._sequence:
            return False
        self._sequence += 1
        records = delivery.records
        if records[0].offset < self._position:
            raise LogEndsBefore(self._tp.topic, self._tp.partition, self._position, None)
        self._position = records[-1].offset + 1
        size = _size(records)
        self._queue.append(_Waiting(records, size))
        self.waiting += len(records)
        self._bytes += size
        self.changed.set()
        return True

    def take(self, most: int) -> list[Record]:
        """Take all that waits, at most ``most`` records."""
        taken: list[Record] = []
        while self._queue and len(taken) < most:
            records, size = self._queue.popleft()
            room = most - len(taken)
            if len(records) > room:
                left = records[room:]
                left_size = _size(left)
                self._queue.appendleft(_Waiting(left, left_size))
                records, size = records[:room], size - left_size
            taken.extend(records)
            self._bytes -= size
        self.waiting -= len(taken)
        return taken


def _size(records: Sequence[Record]) -> int:
    # two lists cost a third less than one generator
    return sum([len(record.key or b"") for record in records]) + sum([len(record.value or b"") for record in records])
