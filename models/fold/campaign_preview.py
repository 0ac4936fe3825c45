"""A start of a campaign before it is made: the fold of production on a copy of a partition's state, without outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from models.batch import Batch, Outputs, Record, Restored
from models.engage.campaigns.orders import decode_campaign, span_of
from models.fold.campaign_counts import key_of, read_campaign_counts
from models.fold.campaigns_in_use import CAMPAIGNS_KEY, restored_campaigns
from models.fold.partition import PartitionFold
from models.log import EVENTS, CampaignOrder, Tick, encode_control
from models.units import HOUR, SECOND

MAX_TICKS = 500
"""Maximum number of times at which the clock moves; more of them would only make the hours of messages more exact."""
EXAMPLES = 3
"""Number of messages that are shown."""

_read = msgspec.json.decode


class _Planned(NamedTuple):
    """A record that is in no log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


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
    fold, found = PartitionFold(state), CampaignForecast()
    if not fold.clock:  # a partition without any record
        return found
    campaign, now = decode_campaign(bytes(control.campaign)), max(now, fold.now)
    found.users = sum(key[:1] != b"\0" for key in state.records)
    begins = max(now, control.at)
    end = begins + 1 + span_of(campaign.pace, found.users)
    step = max(SECOND, (end - begins) // MAX_TICKS)
    times = [*range(begins, end, step), end]
    for outputs in _folded(fold, state, [(now, control), *((at, Tick(at)) for at in times)]):
        _count(outputs, campaign.rule, found)
    counts = read_campaign_counts(state.records.get(key_of(control.id)))
    found.audience = counts.audience
    for one in restored_campaigns(state.records.get(CAMPAIGNS_KEY)).refused:
        if one.id == control.id:
            found.refused[state.partition] = one.message
    return found


def _folded(
    fold: PartitionFold, state: Restored, contents: list[tuple[int, CampaignOrder | Tick]]
) -> Iterator[Outputs]:
    records: list[Record] = [
        _Planned(state.position + number, at, *encode_control(control)) for number, (at, control) in enumerate(contents)
    ]
    for record in records:
        for outputs in fold.slices(Batch(EVENTS, state.partition, [record])):
            checkpoint = state.checkpoint(outputs.commit, record.offset + 1)
            state.apply(outputs.commit, checkpoint.position)
            yield outputs


def _count(outputs: Outputs, rule: str, found: CampaignForecast) -> None:
    for topic, _, value in outputs.commit.records:
        if value is None or not (topic == "decisions" or topic.startswith("messages.")):
            continue
        one = _read(value)
        if one.get("rule") != rule:
            continue
        if topic != "decisions":
            if len(found.examples) < EXAMPLES:
                found.examples.append(one)
        elif one["outcome"] == "sent":
            found.sent[one["channel"]] += 1
            found.hours[one["at"] - one["at"] % HOUR] += 1
        elif one["outcome"] == "deferred":
            found.deferred += 1
            found.hours[one["until"] - one["until"] % HOUR] += 1
        else:
            found.excluded[one["reason"]] += 1
