"""The start of a campaign: the campaign of the configuration in use, and the order that starts it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.configuration.campaigns.definition import Campaign
from models.configuration.compiled import decode
from models.engage.campaigns.orders import encode_campaign, order_id
from models.errors import PerennialError
from models.fold.campaign_view import StartState
from models.log import CampaignOrder
from models.spelling import did_you_mean
from stream.cluster.connection import Connection
from stream.log.versions import newest_use, read_uses


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


def order_of(campaign: Campaign, now: int, by: str, earlier: Iterable[StartState]) -> CampaignOrder:
    """Return the order that starts a campaign.

    Parameters
    ----------
    campaign
        The campaign.
    now
        The time, milliseconds.
    by
        Who has approved the start; empty without an approval.
    earlier
        All starts so far. Users who got the message by a start that was cancelled do not get it again.

    Raises
    ------
    CannotStart
        The campaign is under way, or its time is over.
    """
    own = [start for start in earlier if start.campaign == campaign.name]
    for start in own:
        if start.phase_at(now) in ("waiting", "running", "paused"):
            raise CannotStart(
                f"the campaign {campaign.name!r} is {start.phase_at(now)} (start {start.id}); "
                f"`perennial campaigns cancel {campaign.name}` ends it"
            )
    begins = 0 if campaign.at is None else campaign.at.time
    if campaign.at is not None and campaign.at.if_past == "drop" and begins < now:
        raise CannotStart(f"the time of the campaign {campaign.name!r} is over, and it has `if_past: drop`")
    excludes = tuple(start.id for start in own if start.status == "cancelled")
    content = msgspec.Raw(encode_campaign(campaign))
    return CampaignOrder("start", order_id(campaign, now), content, begins, by, excludes)
