"""A start of a campaign before it is made: the fold of production on a copy of a partition's state, without outputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from models.batch import Outputs, Restored
from models.engage.campaigns.local_turns import MAX_LOCAL_WAIT_MS
from models.engage.campaigns.orders import decode_campaign, span_of
from models.fold.campaign_counts import key_of, read_campaign_counts
from models.fold.campaigns_in_use import CAMPAIGNS_KEY, restored_campaigns
from models.fold.outlook import OutlookFold, decided
from models.log import CampaignOrder, Tick
from models.units import HOUR, SECOND

MAX_TICKS = 500
"""Maximum number of times at which the clock moves; more of them would only make the hours of messages more exact."""
EXAMPLES = 3
"""Number of messages that are shown."""


@dataclass
class CampaignForecast:
    """The numbers of a start.

    Attributes
    ----------
    users, audience
        Number of users, and of those in the audience.
    sent
        Messages by channel.
    excluded
        Users of the audience who would get none, by reason.
    deferred
        Messages that would wait for the end of quiet hours, or for their template.
    hours
        Messages by hour, as the time of its begin in milliseconds.
    examples
        The first messages, as delivery would get them.
    refused
        Why partitions would refuse the start, by the number of the partition.
    """

    users: int = 0
    audience: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    deferred: int = 0
    hours: Counter[int] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def add(self, other: CampaignForecast) -> None:
        """Add the numbers of another partition."""
        self.users += other.users
        self.audience += other.audience
        self.sent.update(other.sent)
        self.excluded.update(other.excluded)
        self.deferred += other.deferred
        self.refused.update(other.refused)
        self.hours.update(other.hours)
        self.examples = [*self.examples, *other.examples][:EXAMPLES]


def forecast(state: Restored, control: CampaignOrder, now: int) -> CampaignForecast:
    """Return the numbers of a start in a partition, if no event came meanwhile.

    Parameters
    ----------
    state
        A copy of the partition's state; it is changed.
    control
        The order that would start the campaign.
    now
        The time of the order, milliseconds.
    """
    fold, found = OutlookFold(state, now), CampaignForecast()
    if not fold.clock:  # a partition without any record
        return found
    campaign, now = decode_campaign(bytes(control.campaign)), fold.begin
    found.users = sum(key[:1] != b"\0" for key in state.records)
    begins = max(now, control.at)
    end = begins + 1 + span_of(campaign.pace, found.users)
    if campaign.at is not None and campaign.at.is_local:
        end += MAX_LOCAL_WAIT_MS
    step = max(SECOND, (end - begins) // MAX_TICKS)
    times = [*range(begins, end, step), end]
    for outputs in fold.play([(now, control), *((at, Tick(at)) for at in times)]):
        _count(outputs, campaign.rule, found)
    counts = read_campaign_counts(state.records.get(key_of(control.id)))
    found.audience = counts.audience
    for one in restored_campaigns(state.records.get(CAMPAIGNS_KEY)).refused:
        if one.id == control.id:
            found.refused[state.partition] = one.message
    return found


def _count(outputs: Outputs, rule: str, found: CampaignForecast) -> None:
    decisions, messages = decided(outputs)
    for one in decisions:
        if one.rule != rule or one.reason == "local_time":  # at that time, it is decided again
            continue
        if one.outcome == "sent":
            found.sent[one.channel] += 1
            found.hours[one.at - one.at % HOUR] += 1
        elif one.outcome == "deferred":
            found.deferred += 1
            found.hours[one.until - one.until % HOUR] += 1
        else:
            found.excluded[one.reason] += 1
    shown = [message for message in messages.values() if message.rule == rule]
    found.examples += [msgspec.to_builtins(message) for message in shown[: EXAMPLES - len(found.examples)]]
