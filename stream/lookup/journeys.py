"""Client of the workers' answers about journeys: the answers for all partitions together."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.fold.journey_counts import joined_counts
from models.fold.journey_view import JourneyState, PartitionJourneys
from models.spelling import did_you_mean
from stream.lookup.client import LookupFailed
from stream.lookup.partitions import PartitionLookups

_read = msgspec.json.Decoder(list[PartitionJourneys]).decode


class UnknownJourney(LookupFailed):
    """No partition has a journey of that name."""


class JourneyStates(NamedTuple):
    """All journeys.

    Attributes
    ----------
    now
        The oldest clock of a partition, milliseconds.
    configuration
        Number of the newest configuration in use.
    journeys
        In the sequence of the files, then those that only older runs walk.
    """

    now: int
    configuration: int
    journeys: list[JourneyState]

    def of(self, name: str) -> JourneyState:
        """Return a journey.

        Raises
        ------
        UnknownJourney
            There is no such journey. The message has the names that exist.
        """
        names = [journey.name for journey in self.journeys]
        if name not in names:
            known = f"journeys are: {', '.join(names)}" if names else "configuration has no journeys"
            raise UnknownJourney(f"there is no journey {name!r}{did_you_mean(name, names)}; the {known}")
        return self.journeys[names.index(name)]


class JourneyLookups(PartitionLookups):
    """The questions about journeys to all workers of this machine."""

    async def states(self) -> JourneyStates:
        """Ask for all journeys with their counts.

        Raises
        ------
        LookupFailed
            A partition has no worker on this machine, or none that is ready.
        """
        parts = [part for _, part in (await self.ask_all("/v1/journeys", _read)).values()]
        newest = max(parts, key=lambda part: part.configuration)
        versions = {one.name: one.version for one in newest.journeys}
        for part in parts:
            for one in part.journeys:
                versions.setdefault(one.name, "")
        counts = {
            name: joined_counts(one.counts for part in parts for one in part.journeys if one.name == name)
            for name in versions
        }
        found = [JourneyState(name, version, counts[name]) for name, version in versions.items()]
        return JourneyStates(min(part.now for part in parts), newest.configuration, found)
