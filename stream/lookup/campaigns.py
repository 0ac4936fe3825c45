"""Client of the workers' answers about campaigns: the answers for all partitions together."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.fold.campaign_counts import joined_campaign_counts
from models.fold.campaign_view import PartitionCampaigns, StartState
from models.fold.message_counts import MessageCounts, joined_by_name
from models.fold.refused_starts import RefusedStart
from models.spelling import did_you_mean
from stream.lookup.client import LookupFailed
from stream.lookup.partitions import PartitionLookups

_read = msgspec.json.Decoder(list[PartitionCampaigns]).decode


class UnknownCampaign(LookupFailed):
    """No partition has a campaign of that name, or none that was started."""


class CampaignStates(NamedTuple):
    """All campaigns.

    Attributes
    ----------
    now
        The oldest clock of a partition, milliseconds.
    configuration
        Number of the newest configuration in use.
    names
        Names of the campaigns of the configuration.
    starts
        All starts, oldest first, each with the numbers of all partitions.
    partitions
        Number of partitions that know a start, by its id.
    numbers
        Number of the newest start by name of the campaign; also of starts that are forgotten.
    refused
        The starts that partitions have refused, by the number of the partition.
    messages
        The messages of all starts, by ``campaign@channel``.
    """

    now: int
    configuration: int
    names: list[str]
    starts: list[StartState]
    partitions: dict[str, int]
    numbers: dict[str, int]
    refused: dict[int, tuple[RefusedStart, ...]]
    messages: dict[str, MessageCounts]

    def refusals(self, order: str) -> dict[int, RefusedStart]:
        """Return why partitions have refused a start, by the number of the partition."""
        found = ((number, one) for number, refused in self.refused.items() for one in refused if one.id == order)
        return dict(sorted(found))

    def refused_of(self, name: str) -> list[tuple[int, RefusedStart]]:
        """Return the starts of a name that partitions have refused since its newest start, with the partitions."""
        newest = self.numbers.get(name, 0)
        found = [(number, one) for number, refused in sorted(self.refused.items()) for one in refused]
        return [(number, one) for number, one in found if one.campaign == name and one.number >= newest]

    def newest(self, name: str) -> StartState:
        """Return the newest start of a campaign.

        Raises
        ------
        UnknownCampaign
            The campaign was not started, or there is no such campaign. The message has the names that exist.
        """
        found = [start for start in self.starts if start.campaign == name]
        if found:
            return max(found, key=lambda start: start.number)
        refused = [f"partition {number}: {one.message}" for number, one in self.refused_of(name)]
        if refused:
            raise UnknownCampaign("; ".join(refused))
        if name in self.names:
            raise UnknownCampaign(
                f"the campaign {name!r} was not started; `perennial campaigns start {name}` starts it"
            )
        names = sorted({*self.names, *(start.campaign for start in self.starts)})
        known = f"campaigns are: {', '.join(names)}" if names else "configuration has no campaigns"
        raise UnknownCampaign(f"there is no campaign {name!r}{did_you_mean(name, names)}; the {known}")


class CampaignLookups(PartitionLookups):
    """The questions about campaigns to all workers of this machine."""

    async def states(self) -> CampaignStates:
        """Ask for all campaigns with their counts.

        Raises
        ------
        LookupFailed
            A partition has no worker on this machine, or none that is ready.
        """
        parts = [part for _, part in (await self.ask_all("/v1/campaigns", _read)).values()]
        newest, found = max(parts, key=lambda part: part.configuration), dict[str, list[StartState]]()
        for part in parts:
            for start in part.starts:
                found.setdefault(start.id, []).append(start)
        starts = sorted((joined_start(group) for group in found.values()), key=lambda start: (start.begins, start.id))
        partitions = {order: len(group) for order, group in found.items()}
        numbers: dict[str, int] = {}
        for part in parts:
            for name, number in part.numbers.items():
                numbers[name] = max(number, numbers.get(name, 0))
        refused = {part.partition: part.refused for part in parts}
        now = min(part.now for part in parts)
        messages = joined_by_name(part.messages for part in parts)
        return CampaignStates(now, newest.configuration, newest.names, starts, partitions, numbers, refused, messages)


def joined_start(parts: list[StartState]) -> StartState:
    """Return a start in several partitions together. It is paused or cancelled only if it is so in all of them."""
    first, statuses = parts[0], {part.status for part in parts}
    return StartState(
        first.id,
        first.campaign,
        min(part.begins for part in parts),
        0 if any(part.end == 0 for part in parts) else max(part.end for part in parts),
        "running" if len(statuses) > 1 else first.status,
        sum(part.users for part in parts),
        first.by,
        joined_campaign_counts(part.counts for part in parts),
        first.number,
        first.goal,
        0 if any(part.waits_until == 0 for part in parts) else max(part.waits_until for part in parts),
    )
