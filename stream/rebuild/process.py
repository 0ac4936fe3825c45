"""A whole rebuild: every partition is folded again, then the partitions are switched over one after the other.

The first pass folds every partition, and puts the facts of its visitors into use. It keeps what their profiles hand
over to known users. The second pass takes that for the known users. It folds a partition again only if this is not
the same as in the log. Then it puts the facts of all users into use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol

from models.batch import Restored
from models.errors import PerennialError
from models.fold.recomputed_merges import KeptLink, RecomputedMerges, merges_taken
from models.log import Tick, encode_control
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, map_kafka_errors
from stream.cluster.partitioner import partition_of
from stream.log.event_log import EventLog
from stream.rebuild.answers import read_answers
from stream.rebuild.reading import read_log, require_beginning
from stream.rebuild.recomputed_log import RecomputedLog
from stream.rebuild.shadow import Shadow
from stream.rebuild.switch import FactMerger, NotSwitched, catch_up, snapshot, switch

MERGES_WITHIN_S = 300.0
"""How long to wait for merge records that are on their way, seconds."""
MERGES_EVERY_S = 1.0
"""How long to wait before the state in use is read again, seconds."""


class NoTransactions(PerennialError):
    """The broker has no transactions, and without them no partition can be switched over."""


class BrokerFailed(PerennialError):
    """Kafka failed during the rebuild: the same command continues."""


class RebuildListener(Protocol):
    """Receiver of the progress of a rebuild."""

    def planned(self, records: int) -> None:
        """Called when the number of records of the next pass is known; each pass begins with the first record."""

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
        self._keeps = False
        self._places: dict[int, int] = {}
        self._visitors: dict[int, int] = {}
        self._kept: dict[str, KeptLink] = {}

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

    @property
    def kept(self) -> list[KeptLink]:
        """The links that have stayed as the log has them, by visitor."""
        return [one for _, one in sorted(self._kept.items())]

    def kept_in(self, done: Rebuilt) -> list[KeptLink]:
        """Return the links of the visitors in a partition that have stayed as the log has them."""
        return [one for one in self.kept if partition_of(one.visitor.encode(), self._partitions) == done.partition]

    async def run(
        self, *, anew: bool = False, compare_only: bool = False, keep_differing: bool = False
    ) -> list[Rebuilt]:
        """Rebuild every partition, or continue an earlier rebuild that was killed.

        Parameters
        ----------
        anew
            Discard the work of an earlier rebuild.
        compare_only
            Change nothing that is in use: only count the users whose facts would be different.
        keep_differing
            Leave links that this code makes in another way as the log has them (:attr:`kept`), instead of stopping.

        Raises
        ------
        BeginningGone
            The log has lost its beginning.
        NotSwitched
            A partition could not be switched over.
        LinksDiffer, MissingPayload
            This code computes the links between profiles in another way than the code in use.
        TakenOver
            Another rebuild has begun.
        BrokerFailed
            Kafka failed.
        """
        await self.require_beginning()
        self._keeps = keep_differing
        try:
            with map_kafka_errors("a rebuild was interrupted"):
                await self._fold_all(anew=anew)
                for partition in range(self._partitions):
                    await self._visit(partition, compare_only)
                if self._keeps:
                    for partition in range(self._partitions):
                        await self._note_missing(partition)
                return [await self._finish(partition, compare_only) for partition in range(self._partitions)]
        except BrokerUnavailable as error:
            raise BrokerFailed(f"Kafka failed ({error!r}); the same command continues where this one was") from error

    # --- first pass: visitors --------------------------------------------------------------------------------------

    async def _fold_all(self, *, anew: bool) -> None:
        ends = [(await snapshot(self._connection, partition)).position for partition in range(self._partitions)]
        self._listener.planned(sum(ends))
        for partition, end in enumerate(ends):
            async with self._shadow(partition, anew=anew) as shadow:
                if shadow.visitors_at < 0:
                    await shadow.fold_to(end)

    async def _visit(self, partition: int, compare_only: bool) -> None:
        """Put the facts of the visitors of a partition into use; then the running lane hands over these facts."""
        async with self._shadow(partition) as shadow:
            if shadow.visitors_at < 0 and not compare_only:
                self._visitors[partition] = await self._put_visitors(shadow)
            elif not shadow.switched and not compare_only:
                await self._wake(partition)  # the earlier run may have ended before it wrote this tick
            elif shadow.visitors_at < 0 and self._keeps:
                await self._differing(shadow)
            self._kept.update(shadow.kept)
            self._places[partition] = shadow.position if shadow.visitors_at < 0 else shadow.visitors_at

    async def _put_visitors(self, shadow: Shadow) -> int:
        """Put the facts of visitors into use, and return how many have changed."""
        merger, has_changes = await self._differing(shadow)
        if not has_changes:
            await shadow.note_visitors()
            return 0
        changed = await switch(shadow, merger, self._connection, self._fold)
        await self._wake(shadow.partition)
        return changed

    async def _differing(self, shadow: Shadow) -> tuple[FactMerger, bool]:
        """Compare the visitors, note those whose links differ, and return whether facts of others have changed."""
        merger = FactMerger(visitors=True, keeps=self._keeps)
        current = await catch_up(shadow, self._connection)
        # Also at a level that does not link: if the level is raised meanwhile, visitors hand over the facts in use.
        has_changes = bool(merger.merge(shadow.comparable(current), current))
        shadow.kept.update(merger.differing)
        return merger, has_changes

    async def _note_missing(self, partition: int) -> None:
        """Keep the links of visitors who have handed over by the log what this code does not compute again."""
        async with self._shadow(partition) as shadow:
            answers = await read_answers(self._connection, partition, self._code)
            for taken in RecomputedMerges(answers, self._is_folded, self._kept).missing(shadow.records):
                self._kept[taken.visitor] = KeptLink(taken.visitor, taken.user, "", partition, taken.offset)
            for _, taken in merges_taken(shadow.records):
                link = self._kept.get(taken.visitor)
                if link is not None and link.user == taken.user and taken.digest:
                    self._kept[taken.visitor] = link._replace(partition=partition, offset=taken.offset)

    # --- second pass: known users ----------------------------------------------------------------------------------

    async def _finish(self, partition: int, compare_only: bool) -> Rebuilt:
        async with self._shadow(partition) as shadow:
            if shadow.switched:
                await self._wake(partition)  # the earlier run may have ended before it wrote this tick
                done = Rebuilt(partition, shadow.position, _users(shadow), 0, "was switched")
            else:
                end = shadow.position
                answers = await read_answers(self._connection, partition, self._code)
                merges = RecomputedMerges(answers, self._is_folded, self._kept)
                if await shadow.take_merges(merges, keep=not compare_only):
                    self._listener.planned(end)
                done = await self._compare(shadow, compare_only)
        self._listener.switched(done)
        return done

    def _is_folded(self, visitor: str, notice: int) -> bool:
        """Return whether the first pass has folded the notice to a visitor at an offset."""
        return notice < self._places[partition_of(visitor.encode(), self._partitions)]

    async def _compare(self, shadow: Shadow, compare_only: bool) -> Rebuilt:
        merger = FactMerger(kept=self._kept)
        current = await catch_up(shadow, self._connection)
        if not compare_only:
            current = await self._await_merges(shadow, current)
        changed, outcome = len(merger.merge(shadow.comparable(current), current)), "compared"
        visitors = self._visitors.get(shadow.partition, 0)
        if not compare_only and not changed:
            outcome = "switched" if visitors else "equal"
        elif not compare_only:
            changed, outcome = await switch(shadow, merger, self._connection, self._fold), "switched"
            await self._wake(shadow.partition)
        return Rebuilt(shadow.partition, shadow.position, _users(shadow), changed + visitors, outcome)

    async def _await_merges(self, shadow: Shadow, current: Restored) -> Restored:
        """Wait until the running lane has read what visitors have handed over before their facts were put into use.

        A merge record that comes later would bring the facts of the earlier code.
        """
        deadline = time.monotonic() + MERGES_WITHIN_S
        while waiting := shadow.awaited:
            if time.monotonic() > deadline:
                shown = ", ".join(f"{one.anonymous} for {one.user}" for one in waiting[:3])
                raise NotSwitched(
                    f"partition {shadow.partition}: {len(waiting)} merge records ({shown}) were not folded within "
                    f"{MERGES_WITHIN_S:g} s; start the workers, or wait until they have caught up; the same "
                    f"command continues"
                )
            await asyncio.sleep(MERGES_EVERY_S)
            current = await catch_up(shadow, self._connection)
        return current

    async def _wake(self, partition: int) -> None:
        """Make the fenced owner notice its fencing: a tick that moves no clock makes it commit, even if it is idle."""
        async with EventLog(self._connection, self._partitions) as log:
            await log.write_at([(partition, *encode_control(Tick(at=0)))])

    @asynccontextmanager
    async def _shadow(self, partition: int, *, anew: bool = False) -> AsyncIterator[Shadow]:
        log = RecomputedLog(partial(read_log, self._connection), self._partitions)
        shadow = Shadow(self._connection, partition, self._code, partial(self._listener.folded, partition), log)
        try:
            await shadow.open(anew=anew)
            yield shadow
        finally:
            await shadow.close()


def _users(shadow: Shadow) -> int:
    return sum(1 for key in shadow.records if not key.startswith(b"\0"))
