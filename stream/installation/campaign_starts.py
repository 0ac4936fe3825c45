"""The start of a campaign: the campaign of the configuration in use, and the order that starts it."""

from __future__ import annotations

import msgspec

from models.configuration.campaigns.definition import Campaign
from models.configuration.compiled import decode
from models.engage.campaigns.orders import encode_campaign, order_id
from models.errors import PerennialError
from models.fold.campaigns_in_use import MAX_OPEN
from models.log import CampaignOrder
from models.spelling import did_you_mean
from stream.cluster.connection import Connection
from stream.log.versions import newest_use, read_uses
from stream.lookup.campaigns import CampaignStates

UNDER_WAY = ("waiting", "running", "paused")
"""Phases of a start that is not over."""


class CannotStart(PerennialError):
    """A campaign that cannot be started now; follow the message."""


async def campaign_in_use(connection: Connection, name: str) -> Campaign:
    """Return a campaign of the configuration in use.

    Raises
    ------
    CannotStart
        The configuration in use has no such campaign.
    """
    newest = newest_use(await read_uses(connection))
    campaigns = {} if newest is None else {one.name: one for one in decode(bytes(newest.content)).campaigns}
    if name not in campaigns:
        known = f"its campaigns are: {', '.join(sorted(campaigns))}" if campaigns else "it has no campaigns"
        raise CannotStart(
            f"the configuration in use has no campaign {name!r}{did_you_mean(name, campaigns)}; {known}. "
            "`perennial apply` puts the section `campaigns` of the file into use"
        )
    return campaigns[name]


def order_of(campaign: Campaign, now: int, by: str, found: CampaignStates, partitions: int) -> CampaignOrder:
    """Return the order that starts a campaign, or that repeats a start which has not reached all partitions.

    Two commands that know the same starts give the same order, and each partition follows it once.

    Parameters
    ----------
    campaign
        The campaign.
    now
        The time, milliseconds.
    by
        Who has approved the start; empty without an approval.
    found
        All starts so far. Users who got the message by a start that was cancelled, or that has not reached all
        partitions, do not get it again.
    partitions
        Number of partitions.

    Raises
    ------
    CannotStart
        The campaign is under way, too many are, or the time of the campaign is over.
    """
    own = [start for start in found.starts if start.campaign == campaign.name]
    partial = {start.id for start in own if found.partitions[start.id] < partitions}
    newest = found.numbers.get(campaign.name, 0)
    again = [start for start in own if start.id in partial and start.number == newest and start.status != "cancelled"]
    number = newest if any(start.id == order_id(campaign, newest) for start in again) else newest + 1
    order = order_id(campaign, number)
    under_way = [start for start in found.starts if start.phase_at(now) in UNDER_WAY and start.id != order]
    for start in under_way:
        if start.campaign == campaign.name:
            raise CannotStart(
                f"the campaign {campaign.name!r} is {start.phase_at(now)} (start {start.id}); "
                f"`perennial campaigns cancel {campaign.name}` ends it"
            )
    if len(under_way) >= MAX_OPEN:
        raise CannotStart(f"{MAX_OPEN} campaigns are under way already; start this one when one of them is over")
    begins = 0 if campaign.at is None else campaign.at.first
    if campaign.at is not None and campaign.at.if_past == "drop" and campaign.at.last < now:
        raise CannotStart(f"the time of the campaign {campaign.name!r} is over, and it has `if_past: drop`")
    excludes = tuple(one.id for one in own if one.id != order and (one.status == "cancelled" or one.id in partial))
    content = msgspec.Raw(encode_campaign(campaign))
    return CampaignOrder("start", order, content, begins, by, excludes, number)
