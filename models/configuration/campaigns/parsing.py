"""Read campaigns from the plain values of YAML. Errors give the place, what was found, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from models.conditions import comparing
from models.conditions.clauses import ValueClause
from models.conditions.parsing import parse_condition
from models.configuration import stages
from models.configuration.campaigns.definition import Campaign, CampaignPace, CampaignTime
from models.configuration.campaigns.written import CampaignForm, CampaignWait, WrittenPace, WrittenTime
from models.configuration.journeys.checking import leaves_of
from models.configuration.journeys.definition import Goal, Journey
from models.configuration.journeys.matches import event_match
from models.configuration.journeys.written import WrittenGoal
from models.configuration.sending import require_template
from models.configuration.templates import Template
from models.durations import milliseconds
from models.errors import NOT_YET, InvalidConfiguration
from models.lifecycle.definition import Lifecycle
from models.reading import read_at

_SHARE = re.compile(r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)%$")
_FIRST = "a share and a wait, such as [1%, then_wait: 30m]"


def parse_campaigns(value: Any, path: str = "campaigns") -> tuple[Campaign, ...]:
    """Read a list of campaigns.

    Raises
    ------
    InvalidConfiguration
        A campaign is wrong, or two have the same name.

    Examples
    --------
    >>> [one] = parse_campaigns([{"name": "spring", "audience": {"trait": "plan", "is": "pro"}, "send": "spring",
    ...                           "pace": {"over": "3h", "first": ["1%", {"then_wait": "30m"}]}}])
    >>> one.rule, one.pace.over, one.pace.then_wait
    ('campaign/spring', 10800000, 1800000)
    """
    if not isinstance(value, list):
        raise InvalidConfiguration(path, value, "a list of campaigns")
    found: list[Campaign] = []
    for i, one in enumerate(value):
        campaign = _campaign(one, f"{path}[{i}]")
        if any(campaign.name == other.name for other in found):
            raise InvalidConfiguration(f"{path}[{i}].name", campaign.name, "a name that no other campaign has")
        found.append(campaign)
    return tuple(found)


def check_campaigns(
    campaigns: Collection[Campaign],
    journeys: Collection[Journey],
    templates: Mapping[str, Template],
    lifecycle: Lifecycle | None,
) -> None:
    """Check that everything exists that campaigns name.

    Raises
    ------
    InvalidConfiguration
        A template is missing or does not fit its channel, there is no such stage, or a journey takes the names.
    """
    for i, journey in enumerate(journeys):
        if campaigns and journey.name == "campaign":
            raise InvalidConfiguration(f"journeys[{i}].name", "campaign", "another name, because there are campaigns")
    for i, campaign in enumerate(campaigns):
        require_template(templates, campaign.template, f"campaigns[{i}].send", campaign.channels, campaign.category)
        for leaf in leaves_of(campaign.audience):
            if isinstance(leaf, ValueClause) and leaf.subject == "lifecycle" and leaf.comparison is not None:
                for name in leaf.comparison.among:
                    stages.require_stage(name, lifecycle, f"campaigns[{i}].audience: lifecycle")


def _campaign(value: Any, path: str) -> Campaign:
    if not isinstance(value, Mapping):
        raise InvalidConfiguration(path, value, "a campaign: a mapping with name, audience, send")
    written = read_at(value, CampaignForm, path)
    for name in ("stop_if", "experiment"):
        if getattr(written, name) is not None:
            raise InvalidConfiguration(f"{path}.{name}", getattr(written, name), NOT_YET)
    if written.holdout is not None and written.category == "transactional":
        raise InvalidConfiguration(f"{path}.holdout", written.holdout, "nothing: all users get transactional messages")
    return Campaign(
        name=written.name,
        audience=parse_condition(written.audience, f"{path}.audience"),
        template=written.send,
        checked=written.checked,
        channels=tuple(dict.fromkeys(written.channels)),
        category=written.category,
        purpose=written.purpose,
        at=None if written.at is None else _time(written.at, f"{path}.at"),
        pace=CampaignPace() if written.pace is None else _pace(written.pace, f"{path}.pace"),
        holdout=comparing.share(written.holdout) if written.holdout else 0,
        goal=None if written.goal is None else _goal(written.goal, f"{path}.goal"),
        expires_after=milliseconds(written.expires_after),
        approval_above=None if written.needs_approval is None else written.needs_approval.above,
    )


def _time(written: WrittenTime, path: str) -> CampaignTime:
    if (written.time is None) == (written.local is None):
        given = [name for name in ("time", "local") if getattr(written, name) is not None]
        allowed = "exactly one of `time`, such as 2026-04-03T09:00+02:00, and `local`, such as 2026-04-03T09:00"
        raise InvalidConfiguration(path, given, allowed)
    if written.local is not None:
        at = _instant(written.local, f"{path}.local").replace(tzinfo=UTC)
        return CampaignTime(int(at.timestamp()) * 1000, written.if_past, is_local=True)
    assert written.time is not None
    if written.if_past == "next_day":
        raise InvalidConfiguration(f"{path}.if_past", "next_day", "now or drop, because `time` is one instant")
    return CampaignTime(int(_instant(written.time, f"{path}.time").timestamp()) * 1000, written.if_past)


def _instant(written: str, path: str) -> datetime:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        raise InvalidConfiguration(path, written, "a day and a time of day that exist") from None


def _pace(written: WrittenPace, path: str) -> CampaignPace:
    if written.per_domain is not None:
        raise InvalidConfiguration(f"{path}.per_domain", written.per_domain, NOT_YET)
    over = milliseconds(written.over) if written.over else 0
    if written.first is None:
        return CampaignPace(over)
    match written.first:
        case [str() as share, CampaignWait(then_wait=wait)] if (
            _SHARE.match(share) and 0 < comparing.share(share) < 2**64
        ):
            return CampaignPace(over, comparing.share(share), milliseconds(wait))
    raise InvalidConfiguration(f"{path}.first", written.first, _FIRST)


def _goal(written: WrittenGoal, path: str) -> Goal:
    return Goal(
        on=event_match(written, path, ()),
        within=milliseconds(written.within),
        is_of_sent=written.of == "sent",
        value=written.value or "",
        is_repeated=written.count == "every",
    )
