"""What waits in front of a lane: a queue bounded in records that refuses what a seek made void."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from stream.transport import Delivery

DELIVERIES = 64
"""Most fetches that wait in one inbox; each is a mebibyte at most, or one record, so large records are bounded, too."""


class Inbox:
    """Records of one partition, in order and without a gap since the last :meth:`reset`.

    Parameters
    ----------
    limit
        It is full when this many records wait. One more fetch may already be on its way.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: deque[Sequence[ConsumerRecord]] = deque()
        self._epoch = -1
        self._sequence = 0
        self._position = 0
        self.waiting = 0
        self.changed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether no more should come."""
        return self.waiting >= self._limit or len(self._queue) >= DELIVERIES

    def reset(self, epoch: int, position: int) -> None:
        """Forget all that waits; from now on only ``epoch`` counts, beginning at ``position``."""
        self._queue.clear()
        self.waiting = 0
        self._epoch = epoch
        self._sequence = 0
        self._position = position

    def has_taken(self, epoch: int, sequence: int) -> bool:
        """Whether all of the first ``sequence`` deliveries of ``epoch`` came and were taken."""
        return not self.waiting and (self._epoch, self._sequence) == (epoch, sequence)

    def put(self, delivery: Delivery) -> bool:
        """Take a delivery; returns whether all is well, ``False`` where one before it was lost on its way.

        Faust empties its queues at a rebalance, so the way from the consumer to here is not trusted.
        """
        if delivery.epoch != self._epoch:
            return True
        if delivery.sequence != self._sequence:
            return False
        self._sequence += 1
        records = delivery.records
        if records[0].offset < self._position:  # aiokafka never does this after a seek; a repeat would be silent
            records = [record for record in records if record.offset >= self._position]
        if records:
            self._queue.append(records)
            self.waiting += len(records)
            self.changed.set()
        return True

    def take(self, most: int) -> list[ConsumerRecord]:
        """Take all that waits, at most ``most`` records."""
        taken: list[ConsumerRecord] = []
        while self._queue and len(taken) < most:
            head = self._queue.popleft()
            room = most - len(taken)
            if len(head) > room:
                self._queue.appendleft(head[room:])
                head = head[:room]
            taken.extend(head)
        self.waiting -= len(taken)
        return taken
