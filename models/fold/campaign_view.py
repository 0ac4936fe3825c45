"""The campaigns that were started in a partition, as its owner answers."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.configuration.campaigns.definition import rule_name
from models.fold.campaign_counts import CampaignCounts, key_of, read_campaign_counts
from models.fold.goal_outline import GoalOutline, goal_of
from models.fold.message_counts import MessageCounts, message_counts_of
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
    goal
        Its goal; ``None`` without one.
    waits_until
        Time after which none of its messages waits, milliseconds; 0 while the campaign is paused.
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
    goal: GoalOutline | None = None
    waits_until: int = 0

    def phase_at(self, now: int) -> str:
        """Return the status at a time.

        A campaign that runs is ``waiting`` before its first turn, and after its last turn while messages wait. Then it
        is ``done``.
        """
        if self.status != "running":
            return self.status
        if self.begins < now < self.end:
            return "running"
        return "waiting" if now <= self.begins or (self.counts.waiting > 0 and now < self.waits_until) else "done"


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
    messages
        The messages of all starts, by ``campaign@channel``.
    """

    partition: int
    now: int
    configuration: int
    names: list[str]
    starts: list[StartState]
    numbers: dict[str, int] = {}
    refused: tuple[RefusedStart, ...] = ()
    messages: dict[str, MessageCounts] = {}


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
            goal_of(order.campaign.goal),
            0 if order.status == "paused" else order.waits_until,
        )
        for order in versions.campaigns.orders
    ]
    numbers, refused = versions.campaigns.numbers, versions.campaigns.refused
    names = [campaign.name for campaign in versions.configuration.campaigns]
    known = dict.fromkeys([*names, *(start.campaign for start in starts)])
    messages = message_counts_of(state.records, map(rule_name, known))
    number = versions.number(CONFIGURATION)
    return PartitionCampaigns(state.partition, now, number, names, starts, numbers, refused, messages)
