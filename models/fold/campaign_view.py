"""The campaigns that were started in a partition, as its owner answers."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.fold.campaign_counts import CampaignCounts, key_of, read_campaign_counts
from models.fold.refused_starts import RefusedStart
from models.fold.versions import CONFIGURATION, Versions


class StartState(msgspec.Struct, frozen=True):
    """A campaign that was started, in one partition or in several together.

    Attributes
    ----------
    id, campaign
        Id of the start, and name of the campaign.
    begins, end
        The first turn and the last one, milliseconds; ``end`` is 0 while the campaign is paused.
    status
        ``running``, ``paused`` or ``cancelled``.
    users
        Number of users at the start.
    by
        Who has approved it; empty without an approval.
    counts
        Its users.
    number
        Number of the start among those of its name.
    """

    id: str
    campaign: str
    begins: int
    end: int
    status: str
    users: int
    by: str
    counts: CampaignCounts
    number: int = 1

    def phase_at(self, now: int) -> str:
        """Return the status at a time: a campaign that runs may not have begun, or may be ``done``."""
        if self.status != "running":
            return self.status
        return "waiting" if now <= self.begins else "running" if now < self.end else "done"


class PartitionCampaigns(msgspec.Struct, frozen=True):
    """The campaigns in one partition.

    Attributes
    ----------
    partition
        Number of the partition.
    now
        Its clock, milliseconds.
    configuration
        Number of the configuration in use.
    names
        Names of the campaigns of the configuration.
    starts
        The starts, oldest first.
    numbers
        Number of the newest start by name of the campaign; also of starts that are forgotten.
    refused
        The starts that were refused, oldest first.
    """

    partition: int
    now: int
    configuration: int
    names: list[str]
    starts: list[StartState]
    numbers: dict[str, int] = {}
    refused: tuple[RefusedStart, ...] = ()


def campaigns_of(state: Restored, versions: Versions, now: int) -> PartitionCampaigns:
    """Return the campaigns of a partition with their counts."""
    starts = [
        StartState(
            order.id,
            order.campaign.name,
            order.begins,
            0 if order.status == "paused" else order.end,
            order.status,
            order.users,
            order.by,
            read_campaign_counts(state.records.get(key_of(order.id))),
            order.number,
        )
        for order in versions.campaigns.orders
    ]
    numbers, refused = versions.campaigns.numbers, versions.campaigns.refused
    names = [campaign.name for campaign in versions.configuration.campaigns]
    return PartitionCampaigns(state.partition, now, versions.number(CONFIGURATION), names, starts, numbers, refused)
