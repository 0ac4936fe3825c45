"""A whole rebuild: every partition is folded first, while nothing changes; then they are switched over in a row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol

from aiokafka.errors import KafkaError

from models.errors import PerennialError
from models.log import Tick, encode_control
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog
from stream.rebuild.reading import require_beginning
from stream.rebuild.shadow import Shadow
from stream.rebuild.switch import Carrier, catch_up, snapshot, switch


class NoTransactions(PerennialError):
    """The broker has none, and without them nothing can be switched over."""


class BrokerFailed(PerennialError):
    """Kafka failed in between: the same command goes on."""


class Listener(Protocol):
    """Told how far a rebuild is."""

    def planned(self, records: int) -> None:
        """Hear how many records the log has, in all that is in use."""

    def folded(self, partition: int, position: int, now: int) -> None:
        """Hear that a partition is folded up to an offset, where the log's time is ``now``, milliseconds."""

    def switched(self, done: Rebuilt) -> None:
        """Hear that a partition is done."""


class Rebuilt(NamedTuple):
    """One partition.

    Attributes
    ----------
    partition
        Its number.
    position
        Offset up to which its facts were recomputed, when they were compared with those in use.
    users
        In its state.
    changed
        Of them, whose facts were different.
    outcome
        ``switched``; ``equal`` where no facts were different, so that nothing was touched; ``was switched`` before this
        process was started; ``compared`` where that was all that was wanted.
    """

    partition: int
    position: int
    users: int
    changed: int
    outcome: str


class Rebuild:
    """Recomputes the facts of every user; :meth:`run` it.

    Parameters
    ----------
    connection
        The cluster; the topics are there, ``profiles.rebuild`` included.
    partitions
        Of the log.
    code
        See :func:`stream.rebuild.shadow.code_in_use`.
    listener
        Told how far it is.
    fold
        Name of the role that folds.
    """

    def __init__(
        self, connection: Connection, partitions: int, code: str, listener: Listener, *, fold: str = "fold"
    ) -> None:
        if not connection.transactions:
            raise NoTransactions(
                "a rebuild needs transactions, and the embedded broker has none; it also forgets its log when it ends: "
                "start it anew with the new code, and feed the events again"
            )
        self._connection = connection
        self._partitions = partitions
        self._code = code
        self._listener = listener
        self._fold = connection.group(fold)

    async def require_beginning(self) -> None:
        """Return where the log has its beginning; raises ``BeginningGone`` else, and ``BrokerFailed``."""
        try:
            await require_beginning(self._connection, self._partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerFailed(f"Kafka failed ({error!r}); nothing was begun") from error

    async def run(self, *, anew: bool = False, compare_only: bool = False) -> list[Rebuilt]:
        """Do it all, or go on where it was killed.

        Parameters
        ----------
        anew
            Forget what an earlier rebuild has done.
        compare_only
            Change nothing that is in use: only find out whose facts would be different.

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
            await self._fold_all(anew=anew)
            return [await self._finish(partition, compare_only) for partition in range(self._partitions)]
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerFailed(f"Kafka failed ({error!r}); the same command goes on where this one was") from error

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
                await self._wake(partition)  # whoever was killed may not have done it
                done = Rebuilt(partition, shadow.position, _users(shadow), 0, "was switched")
            else:
                done = await self._compare(shadow, compare_only)
        self._listener.switched(done)
        return done

    async def _compare(self, shadow: Shadow, compare_only: bool) -> Rebuilt:
        carrier = Carrier()
        current = await catch_up(shadow, self._connection)
        changed, outcome = len(carrier.carry(shadow.beside(current), current.records)), "compared"
        if not compare_only and not changed:
            outcome = "equal"
        elif not compare_only:
            changed, outcome = await switch(shadow, carrier, self._connection, self._fold), "switched"
            await self._wake(shadow.partition)
        return Rebuilt(shadow.partition, shadow.position, _users(shadow), changed, outcome)

    async def _wake(self, partition: int) -> None:
        """Let the fenced owner notice, which an idle one would not: a tick that moves no clock makes it commit."""
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
