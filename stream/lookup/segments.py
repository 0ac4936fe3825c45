"""Client of the workers' answers that count users: the answers for all partitions together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from models.fold.buyer_counts import ScoredBuyers
from models.fold.buyer_view import PartitionBuyers
from models.fold.members import Entrant, SegmentMembers, joined
from models.fold.segment_view import MemberSlice, PartitionMembers, PartitionSizes, SegmentSize
from models.fold.stage_view import PartitionStages
from models.fold.stages import StagesInUse
from models.learning.population import Population
from models.spelling import did_you_mean
from stream.lookup.client import LookupFailed, ask, ask_each
from stream.lookup.identity import Identity

_Part = TypeVar("_Part", PartitionSizes, PartitionMembers, PartitionStages, PartitionBuyers)
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
            known = f"segments by rule are: {', '.join(names)}" if names else "configuration has no segments by rule"
            raise UnknownSegmentName(f"there is no segment {name!r}{did_you_mean(name, names)}; the {known}")
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


class SegmentLookups:
    """The questions about segments by rule to all workers of this machine.

    Parameters
    ----------
    addresses
        Address of each worker, as ``http://host:port``.
    partitions
        Number of partitions of ``events``.
    own
        Identity of the client's installation.
    """

    def __init__(self, addresses: Sequence[str], partitions: int, own: Identity | None) -> None:
        self._addresses = tuple(addresses)
        self._partitions = partitions
        self._own = own

    def __repr__(self) -> str:
        return f"SegmentLookups({list(self._addresses)})"

    async def sizes(self) -> SegmentSizes:
        """Ask for the sizes of all segments.

        Raises
        ------
        LookupFailed
            A partition has no worker on this machine, or none that is ready.
        """
        parts = (await self._ask("/v1/segments", _read_sizes)).values()
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
        parts = await self._ask(f"/v1/segments/{quote(name, safe='')}", _read_members)
        return joined(part.members for _, part in parts.values())

    async def stages(self) -> StageCounters:
        """Ask for the users by stage of the lifecycle, and their moves by day. Errors are those of :meth:`sizes`."""
        parts = [part for _, part in (await self._ask("/v1/lifecycle", _read_stages)).values()]
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
        parts = [part for _, part in (await self._ask("/v1/rfm", _read_buyers)).values()]
        total, newest = ScoredBuyers(), max(parts, key=lambda part: part.version)
        for part in parts:
            total.add(part.buyers.by_version)
        return BuyerCounters(min(part.now for part in parts), newest.version, newest.population, total)

    async def walk(self, name: str) -> AsyncGenerator[Entrant]:
        """Yield all members of a segment, partition by partition, sorted by their ids in each.

        Members who enter or leave meanwhile may be missing or included. Errors are those of :meth:`sizes`.
        """
        path = f"/v1/segments/{quote(name, safe='')}"
        for partition, (address, _) in sorted((await self._ask(path, _read_members)).items()):
            after: str | None = ""
            while after is not None:
                query = urlencode({"partition": partition, "after": after})
                found = msgspec.json.decode(
                    await ask([address], f"{path}/members?{query}", self._own), type=MemberSlice
                )
                for member in found.members:
                    yield member
                after = found.after

    async def _ask(self, path: str, read: Callable[[bytes], list[_Part]]) -> dict[int, tuple[str, _Part]]:
        """Return the address and the answer for each partition."""
        found: dict[int, tuple[str, _Part]] = {}
        for address, body in await ask_each(self._addresses, path, self._own):
            for part in read(body):
                known = found.get(part.partition)
                if known is None or known[1].now < part.now:  # the partition is about to have another owner
                    found[part.partition] = address, part
        missing = [str(partition) for partition in range(self._partitions) if partition not in found]
        if missing:
            raise LookupFailed(
                f"no worker that runs here has partition {', '.join(missing)} of {self._partitions}, or it is being "
                f"restored; without it, the sizes would be too small"
            )
        return found


def _latest(times: Iterable[int | None]) -> int | None:
    return max((time for time in times if time is not None), default=None)
