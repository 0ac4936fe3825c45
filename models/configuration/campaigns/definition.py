"""The compiled form of campaigns, which travels in the log.

A campaign is one message to an audience. Durations are milliseconds, and a share is an integer of 2^-64.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from models.conditions.clauses import Condition
from models.configuration.categories import Category
from models.configuration.journeys.definition import Goal
from models.events import Channel
from models.units import HOUR

Checked: TypeAlias = Literal["at_start", "at_send", "at_start_and_at_send"]
IfPast: TypeAlias = Literal["now", "next_day", "drop"]
_EAST, _WEST = 14 * HOUR, 12 * HOUR


class CampaignTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """The time at which a campaign begins.

    Attributes
    ----------
    time
        Milliseconds since the epoch. A local time is written as that of UTC.
    if_past
        What follows if that time was before the start: the message at once, at the same local time of the next day, or
        none.
    is_local
        Whether the time is that of each user's zone.
    """

    time: int
    if_past: IfPast = "now"
    is_local: bool = False

    @property
    def first(self) -> int:
        """The first instant at which it is the time somewhere, milliseconds."""
        return self.time - _EAST if self.is_local else self.time

    @property
    def last(self) -> int:
        """The last instant at which it is the time somewhere, milliseconds."""
        return self.time + _WEST if self.is_local else self.time


class CampaignPace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The time over which the messages of a campaign are spread.

    Attributes
    ----------
    over
        Time over which they are spread evenly, milliseconds; 0 for as fast as the engine sends.
    first
        Share of the users who get the message at once; 0 for none.
    then_wait
        Time between those users and the others, milliseconds.
    """

    over: int = 0
    first: int = 0
    then_wait: int = 0


class Campaign(msgspec.Struct, frozen=True, omit_defaults=True):
    """A campaign.

    Attributes
    ----------
    name
        Its name.
    audience
        Condition that its users meet.
    template
        Name of the template.
    checked
        When the condition is decided: as of the start, as of the message, or both.
    channels
        Channels in order of preference.
    category, purpose
        What the message is for.
    at
        When it begins; ``None`` for at once.
    pace
        How it is spread.
    holdout
        Share of users who get nothing, in 2^-64.
    goal
        What counts as success; ``None`` for nothing.
    expires_after
        Milliseconds after which a message that could not be sent is dropped.
    approval_above
        Number of users above which a start needs an approval; ``None`` for never.
    """

    name: str
    audience: Condition
    template: str
    checked: Checked = "at_start"
    channels: tuple[Channel, ...] = ("email",)
    category: Category = "marketing"
    purpose: str = "marketing"
    at: CampaignTime | None = None
    pace: CampaignPace = CampaignPace()
    holdout: int = 0
    goal: Goal | None = None
    expires_after: int = 86_400_000
    approval_above: int | None = None

    @property
    def rule(self) -> str:
        """The name under which decisions and messages show the campaign."""
        return rule_name(self.name)


def rule_name(campaign: str) -> str:
    """Return the name under which decisions and messages show a campaign.

    Examples
    --------
    >>> rule_name("spring_sale")
    'campaign/spring_sale'
    """
    return f"campaign/{campaign}"
