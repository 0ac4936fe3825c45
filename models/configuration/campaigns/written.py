"""The written form of a campaign, as YAML has it. The JSON Schema of the file is made from these structs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from models import durations
from models.conditions.schema import Share
from models.configuration.campaigns.definition import Checked
from models.configuration.categories import Category
from models.configuration.journeys.written import Name, Written, WrittenCondition, WrittenGoal
from models.events import Channel

Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]
Instant = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)$",
        description="a time with its zone, such as 2026-04-03T09:00+02:00",
    ),
]


LocalInstant = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?$",
        description="a time without a zone, such as 2026-04-03T09:00",
    ),
]


class CampaignWait(Written, frozen=True, kw_only=True):
    """The time between the first users and the others."""

    then_wait: Duration


class WrittenPace(Written, frozen=True, kw_only=True):
    """The time over which messages are spread.

    Attributes
    ----------
    over
        Time over which they are spread evenly.
    first
        A share of the users, who get the message at once, and the time to wait after them: ``[1%, then_wait: 30m]``.
    per_domain
        Not in this release.
    """

    over: Duration | None = None
    first: list[str | CampaignWait] | None = None
    per_domain: Any = None


class WrittenTime(Written, frozen=True, kw_only=True):
    """The time at which a campaign begins: exactly one of ``time`` and ``local``.

    Attributes
    ----------
    time
        A time with its zone.
    local
        A time in the zone of each user.
    if_past
        What follows if the campaign is started after that time: it begins ``now``, or the start is refused (``drop``).
        With ``local``, it is decided for each user, and may also be the same time of the ``next_day``.
    """

    time: Instant | None = None
    local: LocalInstant | None = None
    if_past: Literal["now", "next_day", "drop"] = "now"


class WrittenApproval(Written, frozen=True, kw_only=True):
    """The number of users above which a start needs an approval."""

    above: Annotated[int, Meta(ge=0)]


class CampaignForm(Written, frozen=True, kw_only=True):
    """A campaign: one message to an audience.

    Attributes
    ----------
    name
        Name; every campaign has a different one.
    audience
        Condition that its users meet.
    checked
        When the condition is decided: as of the start, as of the message, or both.
    send
        Name of the template.
    channels
        Channels in order of preference.
    category
        ``marketing`` needs consent and respects caps and quiet hours; ``transactional`` does not.
    purpose
        The purpose to which the user must have consented.
    at
        When it begins; without it, at the start.
    pace
        How the messages are spread.
    holdout
        Share of users who get nothing, for comparison.
    goal
        What counts as success.
    expires_after
        A message that could not be sent within this time is dropped.
    needs_approval
        The number of users above which a start needs an approval.
    stop_if, experiment
        Not in this release.
    """

    name: Name
    audience: WrittenCondition
    checked: Checked = "at_start"
    send: Name
    channels: Annotated[list[Channel], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["email"])
    category: Category = "marketing"
    purpose: Name = "marketing"
    at: WrittenTime | None = None
    pace: WrittenPace | None = None
    holdout: Share | None = None
    goal: WrittenGoal | None = None
    expires_after: Duration = "24h"
    needs_approval: WrittenApproval | None = None
    stop_if: Any = None
    experiment: Any = None
