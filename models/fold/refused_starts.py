"""The starts of campaigns that a partition has refused, and why."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from models.errors import InvalidEvent

Refusal: TypeAlias = Literal["under_way", "number_used", "other_definition", "too_many", "cancelled_before"]
"""The cause for which a start was refused.

- ``under_way``: the campaign is under way.
- ``number_used``: a start of this name had this number, or a higher one.
- ``other_definition``: the configuration in use does not have the campaign, or has changed it; or the format level has
  no campaigns. So its audience is not watched.
- ``too_many``: too many campaigns are under way.
- ``cancelled_before``: the start was cancelled before it reached the partition.
"""


class StartRefused(InvalidEvent):
    """A start that a partition refuses.

    Parameters
    ----------
    campaign
        Name of the campaign.
    number
        Number of the start among those of its name.
    why
        Why it is refused.
    allowed
        Which start is allowed.

    Attributes
    ----------
    campaign, why
        See above.
    """

    def __init__(self, campaign: str, number: int, why: Refusal, allowed: str) -> None:
        super().__init__("campaign_refused", "campaign", f"start {number} of {campaign}", allowed)
        self.campaign = campaign
        self.why: Refusal = why


class RefusedStart(msgspec.Struct, array_like=True, frozen=True):
    """A start that a partition has refused.

    Attributes
    ----------
    id
        Its id.
    campaign
        Name of the campaign.
    number
        Number of the start among those of its name.
    why, message
        Why it was refused.
    at
        Time of the order in the partition, milliseconds.
    """

    id: str
    campaign: str
    number: int
    why: Refusal
    message: str
    at: int
