"""Users of a live log, and a fold of the log in the test's process."""

from __future__ import annotations

import itertools
import random
import time

from models.batch import Batch, Outputs, Restored
from models.events import Event, EventType, OrderLine
from models.fold.partition import PartitionFold
from stream.cluster.connection import Connection, transactional_id
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.rebuild.reading import read_log

USERS = 40


class Shoppers:
    """Seeded users of a live log."""

    def __init__(self, seed: int, prefix: str = "m") -> None:
        self._rng = random.Random(seed)
        self._prefix = prefix
        self._number = 0

    def events(self, count: int) -> list[Event]:
        """Return the next events of these users."""
        return [self._event() for _ in range(count)]

    def _event(self) -> Event:
        self._number += 1
        kinds: tuple[EventType, ...] = ("click", "cart_add", "purchase", "support_message")
        kind = self._rng.choice(kinds)
        name, user, at = f"{self._prefix}{self._number}", f"u{self._rng.randrange(USERS)}", time.time_ns() // 1_000_000
        item, price = f"i{self._rng.randrange(9)}", self._rng.randrange(1, 90) * 500_000
        if kind == "purchase":
            lines = (OrderLine(item, 1, price, "shoes"),)
            return Event(id=name, user=user, type=kind, at=at, order=f"o{name}", amount=price, lines=lines)
        return Event(id=name, user=user, type=kind, at=at, item=item, amount=price)


class Owner:
    """A fold of one partition, without a consumer group. A test decides when it takes over and when it commits."""

    def __init__(self, connection: Connection, partition: int) -> None:
        self._connection = connection
        own = Ownership(transactional_id(connection.group("fold"), "events", partition), partition, "profiles")
        self._committer = TransactionalCommitter(connection, own)
        self.state = Restored(partition=partition)

    async def take_over(self) -> None:
        """Fence the previous owner, and read the state."""
        await self._committer.fence()
        self.state = await self._committer.restore()
        self._fold = PartitionFold(self.state)

    async def fold_to(self, end: int) -> None:
        """Fold and commit up to an offset."""
        partition = self.state.partition
        async for records in read_log(self._connection, partition, self.state.position, end):
            await self._commit(self._fold.fold(Batch("events", partition, records)), records[-1].offset + 1)

    async def fold_slices(self, max_timers: int, slices: int) -> None:
        """Fold and commit this many slices of the next record, each with at most ``max_timers`` timers."""
        partition, begin = self.state.partition, self.state.position
        async for records in read_log(self._connection, partition, begin, begin + 1):
            made = self._fold.slices(Batch("events", partition, records), max_timers)
            for outputs in itertools.islice(made, slices):
                assert outputs.commit.position == begin, "the record needs fewer slices than wanted"
                await self._commit(outputs, begin)

    async def _commit(self, outputs: Outputs, position: int) -> None:
        await self._committer.commit(outputs.commit, self.state.checkpoint(outputs.commit, position))
        self.state.apply(outputs.commit, position)

    async def leave(self) -> None:
        """Release the transactional id."""
        await self._committer.stop()
