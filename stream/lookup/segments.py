"""Client of the workers' answers that count users: the answers for all partitions together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from models.fold.buyer_counts import ScoredBuyers
from models.fold.buyer_view import PartitionBuyers
from models.fold.members import Entrant, SegmentMembers, joined
from models.fold.membership_view import NO_SEGMENTS
from models.fold.segment_view import MemberSlice, PartitionMembers, PartitionSizes, SegmentSize
from models.fold.stage_view import PartitionStages
from models.fold.stages import StagesInUse
from models.learning.population import Population
from models.spelling import did_you_mean
from stream.lookup.client import LookupFailed, ask
from stream.lookup.partitions import PartitionLookups

_read_sizes = msgspec.json.Decoder(list[PartitionSizes]).decode
_read_stages = msgspec.json.Decoder(list[PartitionStages]).decode
_read_buyers = msgspec.json.Decoder(list[PartitionBuyers]).decode
_read_members = msgspec.json.Decoder(list[PartitionMembers]).decode


class UnknownSegmentName(LookupFailed):
    """No partition has a segment by rule of that name."""


class SegmentSizes(NamedTuple):
    """The sizes of all segments by rule.

    Attributes
    ----------
    now
        The oldest clock of a partition, milliseconds.
    configuration
        Number of the newest configuration in use.
    adopts_until, waiting
        Time by which all users have come to new conditions, milliseconds; ``None`` if they have. Number of those who
        have not.
    segments
        In the sequence of the file.
    """

    now: int
    configuration: int
    adopts_until: int | None
    waiting: int
    segments: list[SegmentSize]

    def of(self, name: str) -> SegmentSize:
        """Return the size of a segment.

        Raises
        ------
        UnknownSegmentName
            There is no segment by rule of that name. The message has the names that exist.
        """
        names = [segment.name for segment in self.segments]
        if name not in names:
            known = f"the segments by rule are: {', '.join(names)}" if names else NO_SEGMENTS
            raise UnknownSegmentName(f"there is no segment {name!r}{did_you_mean(name, names)}; {known}")
        return self.segments[names.index(name)]


class StageCounters(NamedTuple):
    """The users by stage of the lifecycle, and their moves.

    Attributes
    ----------
    now
        The oldest clock of a partition, milliseconds.
    names
        All stages in their sequence; empty without a lifecycle.
    stages
        The counts.
    waiting, adopts_until
        Number of users who have not come to the newest conditions or gaps yet. The time by which all have, in ms;
        ``None`` if they have.
    """

    now: int
    names: list[str]
    stages: StagesInUse
    waiting: int = 0
    adopts_until: int | None = None


class BuyerCounters(NamedTuple):
    """The buyers with scores.

    Attributes
    ----------
    now
        The oldest clock of a partition, milliseconds.
    version
        Newest version of the cut points that is in use in a partition; 0 before any.
    population
        Its cut points, and the gaps between purchases; ``None`` before any.
    buyers
        The counts.
    """

    now: int
    version: int
    population: Population | None
    buyers: ScoredBuyers

    @property
    def outdated(self) -> int:
        """Number of buyers whose scores come from older cut points."""
        return self.buyers.older_than(self.version)


class SegmentLookups(PartitionLookups):
    """The questions about segments by rule, the lifecycle and the scores of buyers to all workers of this machine."""

    async def sizes(self) -> SegmentSizes:
        """Ask for the sizes of all segments.

        Raises
        ------
        LookupFailed
            A partition has no worker on this machine, or none that is ready.
        """
        parts = (await self.ask_all("/v1/segments", _read_sizes)).values()
        newest = max((part for _, part in parts), key=lambda part: part.configuration)
        counted = {segment.name: [0, 0, 0] for segment in newest.segments}
        for _, part in parts:
            for one in part.segments:
                if one.name in counted:
                    for place, number in enumerate((one.members, one.entered, one.left)):
                        counted[one.name][place] += number
        return SegmentSizes(
            min(part.now for _, part in parts),
            newest.configuration,
            _latest(part.adopts_until for _, part in parts),
            sum(part.waiting for _, part in parts),
            [SegmentSize(segment.name, segment.when, *counted[segment.name]) for segment in newest.segments],
        )

    async def members(self, name: str) -> SegmentMembers:
        """Ask for the counted members of a segment; none for an unknown name. Errors are those of :meth:`sizes`."""
        parts = await self.ask_all(f"/v1/segments/{quote(name, safe='')}", _read_members)
        return joined(part.members for _, part in parts.values())

    async def stages(self) -> StageCounters:
        """Ask for the users by stage of the lifecycle, and their moves by day. Errors are those of :meth:`sizes`."""
        parts = [part for _, part in (await self.ask_all("/v1/lifecycle", _read_stages)).values()]
        total = StagesInUse()
        for part in parts:
            total.add(part.stages)
        return StageCounters(
            min(part.now for part in parts),
            max((part.names for part in parts), key=len),
            total,
            sum(part.waiting for part in parts),
            _latest(part.adopts_until for part in parts),
        )

    async def buyers(self) -> BuyerCounters:
        """Ask for the buyers by the version of their cut points. Errors are those of :meth:`sizes`."""
        parts = [part for _, part in (await self.ask_all("/v1/rfm", _read_buyers)).values()]
        total, newest = ScoredBuyers(), max(parts, key=lambda part: part.version)
        for part in parts:
            total.add(part.buyers.by_version)
        return BuyerCounters(min(part.now for part in parts), newest.version, newest.population, total)

    async def walk(self, name: str) -> AsyncGenerator[Entrant]:
        """Yield all members of a segment, partition by partition, sorted by their ids in each.

        Members who enter or leave meanwhile may be missing or included. Errors are those of :meth:`sizes`.
        """
        path = f"/v1/segments/{quote(name, safe='')}"
        for partition, (address, _) in sorted((await self.ask_all(path, _read_members)).items()):
            after: str | None = ""
            while after is not None:
                query = urlencode({"partition": partition, "after": after})
                found = msgspec.json.decode(await ask([address], f"{path}/members?{query}", self.own), type=MemberSlice)
                for member in found.members:
                    yield member
                after = found.after


def _latest(times: Iterable[int | None]) -> int | None:
    return max((time for time in times if time is not None), default=None)
