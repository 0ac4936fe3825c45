"""The profiles of a split: a fold of the log without the link, beside the running one, computes them.

It reads the partitions of both profiles from the beginning, and those of the known user's other visitors. The control
record that brings a profile counts only if the profile had no record since it was computed. So each record is written
right after the fold has come to the end.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from models.errors import PerennialError
from models.fold.unlinked import SplitSource, UnlinkedFold, control_without_profile
from models.identity.split_plan import SplitPlan
from models.log import EVENTS, encode_control
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import EventLog
from stream.rebuild.reading import OPTIONS, read_log
from stream.rebuild.recomputed_log import RecomputedLog


class ConditionsComing(PerennialError):
    """New conditions are coming into use, so the profiles change anyway: try again in a moment."""


class SplitListener(Protocol):
    """Receiver of the progress of the folds."""

    def planned(self, records: int) -> None:
        """Called when the total number of records to fold is known."""

    def folded(self, partition: int, position: int, now: int) -> None:
        """Called when a partition is folded up to an offset, where the log's time is ``now``, milliseconds."""


class SplitProfiles:
    """The two profiles of a split, as a fold without the link knows them.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    plan
        The split.
    listener
        Receiver of the progress.
    """

    def __init__(self, connection: Connection, partitions: int, plan: SplitPlan, listener: SplitListener) -> None:
        self._connection = connection
        self._partitions = partitions
        self._plan = plan
        self._listener = listener
        places = sorted({self._place_of(user) for user in plan.pair})
        self._sources = {place: SplitSource(plan, place) for place in places}
        self._moved = plan.split.events
        self._log = RecomputedLog(partial(read_log, connection), partitions)

    def __repr__(self) -> str:
        return f"SplitProfiles({self._plan.pair}, {list(self._sources.values())})"

    def _place_of(self, user: str) -> int:
        return partition_of(user.encode(), self._partitions)

    async def deleted(self) -> dict[int, int]:
        """Return the offset of the first record of each partition of the two profiles that has lost its beginning.

        Raises
        ------
        BrokerUnavailable
            The log cannot be read.
        """
        every = partitions_of(self._connection, EVENTS, self._partitions)
        places = [every[place] for place in self._sources]
        async with TopicReader(self._connection, places, OPTIONS) as reader:
            begins, ends = await reader.begins(), await reader.ends()
        self._listener.planned(sum(ends[place] for place in places))
        return {place.partition: begin for place, begin in begins.items() if begin}

    async def fold(self) -> None:
        """Fold the partitions of both profiles to their ends.

        Raises
        ------
        BeginningGone
            Records were deleted.
        BrokerUnavailable
            The log cannot be read.
        """
        for place in self._sources:
            await self._catch_up(place)

    def of(self, user: str) -> UnlinkedFold:
        """Return the fold that has the profile of a user."""
        return self._sources[self._place_of(user)].fold

    @property
    def moved(self) -> int:
        """Number of events that go back to the anonymous id."""
        visitor = self._plan.pair.anonymous
        return sum(self.of(visitor).profile(visitor).facts.events.values())

    async def write(self, user: str, log: EventLog) -> int:
        """Write the control record that brings the profile of a user, and return its least possible offset.

        Raises
        ------
        ConditionsComing
            The user has not come to new conditions yet, or they have not got their history.
        BrokerUnavailable, LogUnavailable
            The log cannot be read or written.
        """
        place, pair = self._place_of(user), self._plan.pair
        await self._catch_up(place)
        fold = self._sources[place].fold
        if not fold.is_ready(user):
            raise ConditionsComing(f"new conditions are coming into use for {user}; try again in a moment")
        if not self._moved:
            self._moved = self.moved
        control = fold.control(self._plan, user, self._moved, self.of(pair.known).handed(pair))
        (appended,) = await log.write_at([(place, *encode_control(control))])
        return max(appended.offset, control.before)

    async def write_without_profile(self, user: str, log: EventLog) -> int:
        """Write the control record that leaves all past events where they are, and return its offset."""
        control = control_without_profile(self._plan, user)
        (appended,) = await log.write_at([(self._place_of(user), *encode_control(control))])
        return appended.offset

    async def _catch_up(self, place: int) -> None:
        source = self._sources[place]
        while True:
            async for records in read_log(self._connection, place, source.position):
                watched = await self._log.watched(source.fold, records)
                source.take(await self._log.taken(source.fold, records), watched)
                self._listener.folded(place, source.position, source.fold.now)
            if source.is_done():
                return
