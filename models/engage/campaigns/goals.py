"""The goal of a campaign: which events of a user count as its success."""

from __future__ import annotations

from msgspec.structs import replace

from models.configuration.campaigns.definition import Campaign
from models.engage.journeys.events import matches
from models.events import Event
from models.profile.campaign_marks import UNDECIDED, CampaignMark


def converted(campaign: Campaign, mark: CampaignMark, event: Event, at: int) -> CampaignMark | None:
    """Return the mark with one more conversion; ``None`` if an event is none for a user with this mark.

    The time begins with the user's turn, or with the message (``of: sent``). For the control group, which gets no
    message, it always begins with the turn.

    Parameters
    ----------
    campaign, mark
        The campaign, and what the user's profile keeps of it.
    event, at
        The event, and the time at which it counts, milliseconds.
    """
    goal = campaign.goal
    if goal is None or mark.state in UNDECIDED or (mark.conversions and not goal.is_repeated):
        return None
    begin = mark.sent_at if goal.is_of_sent and mark.state != "held_out" else mark.at
    if not begin or not begin <= at <= begin + goal.within or not matches(goal.on, event, {}):
        return None
    return replace(mark, conversions=mark.conversions + 1)
