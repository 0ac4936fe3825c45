"""A shop on Kafka whose visitors log in: its events, and a router and folds in the test's process."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from models.batch import Output, Restored
from models.events import ANONYMOUS, Event, EventType
from stream.cluster.connection import Connection
from stream.engine.state import restore
from stream.log.event_log import EventLog
from tests.chaos.reference import committed
from tests.support.shop import Owner
from tests.support.two_passes import fold_in_two_passes

PERSONS = 30


class Visiting:
    """Seeded persons who are visitors first, log in, and then go on under both ids.

    Parameters
    ----------
    seed
        Seed of the events.
    prefix
        Beginning of the ids of persons and events.
    first
        Number of the first event.
    """

    def __init__(self, seed: int, prefix: str = "m", first: int = 1) -> None:
        self._rng = random.Random(seed)
        self._prefix = prefix
        self._number = first - 1
        self._known: set[int] = set()

    def events(self, count: int) -> list[Event]:
        """Return the next events."""
        return [self._event() for _ in range(count)]

    def _event(self) -> Event:
        self._number += 1
        rng, person = self._rng, self._rng.randrange(PERSONS)
        name, at = f"{self._prefix}{self._number}", time.time_ns() // 1_000_000
        user, visitor = f"{self._prefix}-u{person}", f"{ANONYMOUS}{self._prefix}-a{person}"
        if rng.random() < 0.1:
            self._known.add(person)
            return Event(id=name, user=user, type="identify", at=at, anonymous=visitor)
        kinds: tuple[EventType, ...] = ("click", "cart_add", "cart_add", "support_message")
        key = user if person in self._known and rng.random() < 0.6 else visitor
        return Event(id=name, user=key, type=rng.choice(kinds), at=at, item=f"i{rng.randrange(9)}", amount=1_000_000)


class TestRouter:
    """A router in the test's process, which moves each committed record of ``outcomes`` once."""

    __test__ = False

    def __init__(self, connection: Connection, partitions: int) -> None:
        self._connection = connection
        self._partitions = partitions
        self._moved: set[tuple[int, int]] = set()

    async def move(self, log: EventLog) -> int:
        """Move what was written since the last call, and return the number of records."""
        found = await committed(self._connection, "outcomes", self._partitions)
        waiting = [one for one in found if (one.partition, one.offset) not in self._moved]
        await log.write([Output("events", one.key, one.value) for one in waiting])
        self._moved |= {(one.partition, one.offset) for one in waiting}
        return len(waiting)


async def log_of(connection: Connection, partitions: int) -> list[list[ConsumerRecord]]:
    """Return the records of each partition of ``events``."""
    logs: list[list[ConsumerRecord]] = [[] for _ in range(partitions)]
    for record in await committed(connection, "events", partitions):
        logs[record.partition].append(record)
    return logs


async def fold_all(connection: Connection, partitions: int) -> None:
    """Fold each partition to its present end, as a new owner."""
    for partition, log in enumerate(await log_of(connection, partitions)):
        owner = Owner(connection, partition)
        await owner.take_over()
        await owner.fold_to(log[-1].offset + 1)
        await owner.leave()


async def settle(connection: Connection, partitions: int, router: TestRouter, log: EventLog) -> None:
    """Fold and route until nothing is on its way."""
    await fold_all(connection, partitions)
    while await router.move(log):
        await fold_all(connection, partitions)


async def in_use(connection: Connection, partitions: int) -> list[Restored]:
    """Return the state of each partition."""
    return [await restore(connection, "profiles", partition) for partition in range(partitions)]


async def reference(connection: Connection, partitions: int) -> list[Restored]:
    """Fold the log in two passes with the code of this process."""
    logs: Sequence[Sequence[ConsumerRecord]] = await log_of(connection, partitions)
    return fold_in_two_passes(logs)
