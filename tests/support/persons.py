"""A log of several partitions in memory, with a router, for tests of persons whose profiles are in two partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import TypeVar

from agents.route_events import route_events
from models.batch import Batch, Output, Outputs, Restored
from models.events import Event, encode_event
from models.fold.partition import PartitionFold
from models.levels import NEWEST
from models.log import Clock, Control, Tick, encode_control
from models.profile.codec import unpack
from models.profile.state import Customer
from stream.cluster.partitioner import partition_of
from tests.support.event_logs import START, PartitionRecord

T = TypeVar("T")


class Persons:
    """Partitions of ``events`` with their folds, and the router that moves ``outcomes`` into them.

    Parameters
    ----------
    partitions
        Number of partitions.
    level
        Format level of the log.
    clock
        Clock of the log.
    repeats
        Whether the router writes each record twice, as it may after a crash on the embedded broker.

    Attributes
    ----------
    logs
        Records of each partition.
    states
        Committed state of each partition.
    written
        All records that the folds have written, except those for ``outcomes``.
    reported
        All records that the folds have written to ``outcomes``.
    counts
        Sums of the counters.
    """

    def __init__(self, partitions: int = 2, *, level: int = NEWEST, clock: str = "wall", repeats: bool = False) -> None:
        self.now = START
        self.logs: list[list[PartitionRecord]] = [[] for _ in range(partitions)]
        self.states = [Restored(partition=number) for number in range(partitions)]
        self.written: list[Output] = []
        self.reported: list[Output] = []
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._folds = [PartitionFold(state) for state in self.states]
        self._outcomes: list[Output] = []
        self._repeats = repeats
        for number in range(partitions):
            self._append(number, *encode_control(Clock("wall" if clock == "wall" else "feeder", level)))

    def partition_of(self, user: str) -> int:
        """Return the partition of a user."""
        return partition_of(user.encode(), len(self.logs))

    def tell(self, *events: Event) -> None:
        """Write events, each at its own time of the wall clock, and fold them without moving any outcome."""
        for event in events:
            self.now = max(self.now, event.at)
            self._append(self.partition_of(event.user), event.user.encode(), encode_event(event))
        self.fold()

    def control(self, *controls: Control) -> None:
        """Write control records to every partition, and fold them."""
        for control in controls:
            for number in range(len(self.logs)):
                self._append(number, *encode_control(control))
        self.fold()

    def write_at(self, records: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Write records, each with its partition, key and value, and fold them."""
        for number, key, value in records:
            self._append(number, key, value)
        self.fold()

    def fold(self, size: int = 7) -> None:
        """Fold everything that is in the logs."""
        for number, (log, state) in enumerate(zip(self.logs, self.states, strict=True)):
            while state.position < len(log):
                records = log[state.position : state.position + size]
                for outputs in self._folds[number].slices(Batch("events", number, records)):
                    state.apply(outputs.commit, records[-1].offset + 1)
                    self._take(outputs)

    def route(self) -> int:
        """Let the router move ``outcomes`` into the logs, without folding it; return the number of records."""
        waiting, self._outcomes = self._outcomes, []
        return self._move(waiting)

    def route_some(self, partition: int, count: int) -> int:
        """Let the router move the first records of ``outcomes`` for one partition, and return their number."""
        waiting = [one for one in self._outcomes if self.partition_of(one.key.decode()) == partition][:count]
        self._outcomes = [one for one in self._outcomes if not any(one is moved for moved in waiting)]
        return self._move(waiting)

    @property
    def on_their_way(self) -> list[str]:
        """The user of each record of ``outcomes`` that is not in the log yet."""
        return [one.key.decode() for one in self._outcomes]

    def _move(self, waiting: list[Output]) -> int:
        if not waiting:
            return 0
        records = [PartitionRecord(number, self.now, one.key, one.value) for number, one in enumerate(waiting)]
        moved = _routed(records)
        for output in moved * (2 if self._repeats else 1):
            self._append(self.partition_of(output.key.decode()), output.key, output.value)
        return len(moved)

    def report(self, outputs: Iterable[Output]) -> None:
        """Write records to ``outcomes``, as delivery does."""
        self._outcomes += outputs

    def restart(self) -> None:
        """Begin each fold again with its committed state, as after the death of its process."""
        self._folds = [PartitionFold(state) for state in self.states]

    def settle(self) -> None:
        """Route and fold until nothing is on its way."""
        self.fold()
        while self.route():
            self.fold()

    def pass_time(self, ms: int) -> None:
        """Move the clock of every partition, and settle."""
        self.now += ms
        self.control(Tick(at=self.now))
        self.settle()

    def user(self, user: str) -> Customer:
        """Return a user's state."""
        return unpack(self.states[self.partition_of(user)].records[user.encode()])

    def has(self, user: str) -> bool:
        """Return whether there is a profile of this key."""
        return user.encode() in self.states[self.partition_of(user)].records

    def values(self, topic: str) -> list[bytes]:
        """Return the values written to a topic."""
        return [one.value for one in self.written if one.topic == topic and one.value is not None]

    def _append(self, partition: int, key: bytes, value: bytes | None) -> None:
        log = self.logs[partition]
        log.append(PartitionRecord(len(log), self.now, key, value))

    def _take(self, outputs: Outputs) -> None:
        self.counts.update(outputs.counts)
        for one in outputs.commit.records:
            (self._outcomes if one.topic == "outcomes" else self.written).append(one)
        self.reported += [one for one in outputs.commit.records if one.topic == "outcomes"]


def _routed(records: Iterable[PartitionRecord]) -> list[Output]:
    async def batches() -> AsyncIterator[Batch]:
        yield Batch("outcomes", 0, list(records))

    async def routed() -> list[Output]:
        return [record async for outputs in route_events(batches()) for record in outputs.commit.records]

    return at_once(routed())


def at_once(work: Coroutine[None, None, T]) -> T:
    """Return the result of work that waits for nothing, so that it also runs inside an event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("the work has awaited something")
