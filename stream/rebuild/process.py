"""A whole rebuild: every partition is folded again, then the partitions are switched over one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol

from models.errors import PerennialError
from models.log import Tick, encode_control
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, map_kafka_errors
from stream.log.event_log import EventLog
from stream.rebuild.reading import require_beginning
from stream.rebuild.shadow import Shadow
from stream.rebuild.switch import FactMerger, catch_up, snapshot, switch


class NoTransactions(PerennialError):
    """The broker has no transactions, and without them no partition can be switched over."""


class BrokerFailed(PerennialError):
    """Kafka failed during the rebuild: the same command continues."""


class RebuildListener(Protocol):
    """Receiver of the progress of a rebuild."""

    def planned(self, records: int) -> None:
        """Called when the total number of records to fold is known."""

    def folded(self, partition: int, position: int, now: int) -> None:
        """Called when a partition is folded up to an offset, where the log's time is ``now``, milliseconds."""

    def switched(self, done: Rebuilt) -> None:
        """Called when a partition is done."""


class Rebuilt(NamedTuple):
    """Result for one partition.

    Attributes
    ----------
    partition
        Number of the partition.
    position
        Offset up to which its facts were recomputed, when they were compared with those in use.
    users
        Number of users in its state.
    changed
        Number of users whose facts were different.
    outcome
        ``switched``: the recomputed facts are in use. ``equal``: no facts were different, so nothing was changed.
        ``was switched``: an earlier run of the command has switched it. ``compared``: only a comparison was wanted.
    """

    partition: int
    position: int
    users: int
    changed: int
    outcome: str


class Rebuild:
    """Recomputation of the facts of every user; :meth:`run` does it.

    Parameters
    ----------
    connection
        The cluster; the topics exist, including ``profiles.rebuild``.
    partitions
        Number of partitions of the log.
    code
        Result of :func:`stream.rebuild.shadow.code_in_use`.
    listener
        Receiver of the progress.
    fold
        Name of the role that folds.
    """

    def __init__(
        self, connection: Connection, partitions: int, code: str, listener: RebuildListener, *, fold: str = "fold"
    ) -> None:
        if not connection.transactions:
            raise NoTransactions(
                "a rebuild needs transactions, and the embedded broker has none; it also loses its log when it ends: "
                "start it again with the new code, and feed the events again"
            )
        self._connection = connection
        self._partitions = partitions
        self._code = code
        self._listener = listener
        self._fold = connection.group(fold)

    def __repr__(self) -> str:
        return f"Rebuild({self._connection.prefix!r}, {self._partitions} partitions)"

    async def require_beginning(self) -> None:
        """Check that the log still has its first records.

        Raises
        ------
        BeginningGone
            The log has lost its first records.
        BrokerFailed
            Kafka failed.
        """
        try:
            await require_beginning(self._connection, self._partitions)
        except BrokerUnavailable as error:
            raise BrokerFailed(f"Kafka failed ({error!r}); nothing was begun") from error

    async def run(self, *, anew: bool = False, compare_only: bool = False) -> list[Rebuilt]:
        """Rebuild every partition, or continue an earlier rebuild that was killed.

        Parameters
        ----------
        anew
            Discard the work of an earlier rebuild.
        compare_only
            Change nothing that is in use: only count the users whose facts would be different.

        Raises
        ------
        BeginningGone
            The log has lost its beginning.
        NotSwitched
            A partition could not be switched over.
        TakenOver
            Another rebuild has begun.
        BrokerFailed
            Kafka failed.
        """
        await self.require_beginning()
        try:
            with map_kafka_errors("a rebuild was interrupted"):
                await self._fold_all(anew=anew)
                return [await self._finish(partition, compare_only) for partition in range(self._partitions)]
        except BrokerUnavailable as error:
            raise BrokerFailed(f"Kafka failed ({error!r}); the same command continues where this one was") from error

    async def _fold_all(self, *, anew: bool) -> None:
        ends = [(await snapshot(self._connection, partition)).position for partition in range(self._partitions)]
        self._listener.planned(sum(ends))
        for partition, end in enumerate(ends):
            async with self._shadow(partition, anew=anew) as shadow:
                if not shadow.switched:
                    await shadow.fold_to(end)

    async def _finish(self, partition: int, compare_only: bool) -> Rebuilt:
        async with self._shadow(partition) as shadow:
            if shadow.switched:
                await self._wake(partition)  # the earlier run may have ended before it wrote this tick
                done = Rebuilt(partition, shadow.position, _users(shadow), 0, "was switched")
            else:
                done = await self._compare(shadow, compare_only)
        self._listener.switched(done)
        return done

    async def _compare(self, shadow: Shadow, compare_only: bool) -> Rebuilt:
        merger = FactMerger()
        current = await catch_up(shadow, self._connection)
        changed, outcome = len(merger.merge(shadow.comparable(current), current)), "compared"
        if not compare_only and not changed:
            outcome = "equal"
        elif not compare_only:
            changed, outcome = await switch(shadow, merger, self._connection, self._fold), "switched"
            await self._wake(shadow.partition)
        return Rebuilt(shadow.partition, shadow.position, _users(shadow), changed, outcome)

    async def _wake(self, partition: int) -> None:
        """Make the fenced owner notice its fencing: a tick that moves no clock makes it commit, even if it is idle."""
        async with EventLog(self._connection, self._partitions) as log:
            await log.write_at([(partition, *encode_control(Tick(at=0)))])

    @asynccontextmanager
    async def _shadow(self, partition: int, *, anew: bool = False) -> AsyncIterator[Shadow]:
        shadow = Shadow(self._connection, partition, self._code, partial(self._listener.folded, partition))
        try:
            await shadow.open(anew=anew)
            yield shadow
        finally:
            await shadow.close()


def _users(shadow: Shadow) -> int:
    return sum(1 for key in shadow.records if not key.startswith(b"\0"))
