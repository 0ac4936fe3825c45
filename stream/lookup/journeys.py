"""Client of the workers' answers about journeys: the answers for all partitions together."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.fold.journey_counts import joined_counts
from models.fold.journey_view import JourneyState, PartitionJourneys
from models.fold.message_counts import joined_by_name
from models.fold.move_prospects import MoveCounts, MoveQuestion, PartitionMoves
from models.spelling import did_you_mean
from stream.lookup.client import LookupFailed
from stream.lookup.partitions import PartitionLookups

_read_moves = msgspec.json.Decoder(list[PartitionMoves]).decode
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
        In the sequence of the files, then those that only older runs walk. One that not all partitions have paused yet
        is not paused.
    reaches_until
        Time by which all runs have followed the newest order, milliseconds; ``None`` if they have.
    """

    now: int
    configuration: int
    journeys: list[JourneyState]
    reaches_until: int | None = None

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
        pauses = {name: [one.pause for part in parts for one in part.journeys if one.name == name] for name in versions}
        found = []
        for name, version in versions.items():
            pause = None if None in pauses[name] else pauses[name][0]
            messages = joined_by_name(one.messages for part in parts for one in part.journeys if one.name == name)
            outline = next((one.outline for one in newest.journeys if one.name == name), None)
            found.append(JourneyState(name, version, counts[name], pause, any(pauses[name]), messages, outline))
        until = max((part.reaches_until for part in parts if part.reaches_until is not None), default=None)
        return JourneyStates(min(part.now for part in parts), newest.configuration, found, until)

    async def moves(self, question: MoveQuestion) -> dict[str, MoveCounts]:
        """Ask what a move of runs would do, by journey; every run is looked at. Errors are those of :meth:`states`."""
        asked = msgspec.json.encode(question)
        parts = [part for _, part in (await self.ask_all("/v1/journeys/moves", _read_moves, asked)).values()]
        found: dict[str, MoveCounts] = {}
        for part in parts:
            for name, counts in part.journeys.items():
                found.setdefault(name, MoveCounts()).add(counts)
        return found
