"""Progress of the commits of a round: positions of folds and learners, and periods without a commit."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.learning import churn, segments
from stream.cluster.connection import Connection
from stream.engine.state import POSITION_KEY, decode_position

LEARNERS = (churn.NAME, segments.NAME)


class Flow:
    """Reader of the committed state, as an outside consumer sees it; use it with ``async with``.

    Parameters
    ----------
    connection
        Connection of the installation.
    partitions
        Number of partitions of ``profiles`` and ``events``.

    Attributes
    ----------
    positions
        Committed position of each partition.
    learned
        Committed position of each learner, by its model.
    commits
        Times at which a record of each partition of ``profiles`` was seen, seconds of the monotonic clock.
    arrivals
        The same times for ``events``. A writer that is frozen within a transaction would delay them.
    """

    def __init__(self, connection: Connection, partitions: int) -> None:
        self._places = [TopicPartition(connection.topic("profiles"), number) for number in range(partitions)]
        self._events = [TopicPartition(connection.topic("events"), number) for number in range(partitions)]
        self._learners = {TopicPartition(connection.topic(f"learners.{name}"), 0): name for name in LEARNERS}
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        self._watching: asyncio.Task[None] | None = None
        self.positions = [0] * partitions
        self.learned = dict.fromkeys(LEARNERS, 0)
        self.commits: list[list[float]] = [[] for _ in range(partitions)]
        self.arrivals: list[list[float]] = [[] for _ in range(partitions)]

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign([*self._places, *self._events, *self._learners])
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._watching is not None
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await self._consumer.stop()

    def silent_in(self, begin: float, end: float) -> list[int]:
        """Return the partitions in which nothing was committed in this period."""
        return _without(self.commits, begin, end)

    def unread_in(self, begin: float, end: float) -> list[int]:
        """Return the partitions of ``events`` in which nothing new could be read in this period."""
        return _without(self.arrivals, begin, end)

    def longest_silence(self, begin: float, end: float) -> float:
        """Return the longest time between two commits of a partition, seconds."""
        longest = 0.0
        for commits in self.commits:
            moments = [begin, *(moment for moment in commits if begin <= moment <= end), end]
            longest = max(longest, *(later - earlier for earlier, later in itertools.pairwise(moments)))
        return longest

    async def _watch(self) -> None:
        while True:
            try:
                found = await self._consumer.getmany(timeout_ms=1_000)
            except KafkaError:
                await asyncio.sleep(0.2)  # a poll failed because the broker is being killed; there is no event to await
                continue
            moment = time.monotonic()
            for place, records in found.items():
                if place in self._events:
                    self.arrivals[place.partition].append(moment)
                    continue
                model = self._learners.get(place)
                if model is None:
                    self.commits[place.partition].append(moment)
                for record in records:
                    if record.key != POSITION_KEY:
                        continue
                    position, _ = decode_position(record.value)
                    if model is None:
                        self.positions[place.partition] = position
                    else:
                        self.learned[model] = position


def _without(moments: list[list[float]], begin: float, end: float) -> list[int]:
    return [number for number, mine in enumerate(moments) if not any(begin <= moment <= end for moment in mine)]
