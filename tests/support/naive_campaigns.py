"""A naive walk of campaigns: at each instant it looks at all users, and at the whole past of each.

It shares no code with the fold but the form of a campaign, and the hashes that choose the users' places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from models.configuration.campaigns.definition import Campaign
from models.engage.campaigns.orders import decode_campaign, is_held_out, share_of
from models.events import Event
from models.log import CampaignOrder, Control, Tick
from models.units import HOUR

Verdict = tuple[str, str, int]
"""Outcome and reason of a decision, and its time."""


@dataclass
class _Start:
    """One start of a campaign: when each user is due, and who is in the audience."""

    campaign: Campaign
    due: dict[str, int]
    audience: set[str]
    end: int
    status: str = "running"
    paused_at: int = 0
    decided: dict[str, Verdict] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    converted: set[str] = field(default_factory=set)


class NaiveCampaigns:
    """The walk over one partition.

    Attributes
    ----------
    starts
        The starts by their ids.
    refused
        Ids of the starts that were refused, because the campaign was under way.
    """

    def __init__(self) -> None:
        self.starts: dict[str, _Start] = {}
        self.refused: set[str] = set()
        self._past: dict[str, list[Event]] = {}
        self._sent: dict[str, list[int]] = {}
        self._now = 0

    def __repr__(self) -> str:
        return f"NaiveCampaigns({len(self.starts)} starts)"

    def follow(self, contents: Iterable[Event | Control]) -> None:
        """Follow the records of a log."""
        for one in contents:
            if isinstance(one, Tick):
                self._now = max(self._now, one.at)
                self._fire()
            elif isinstance(one, CampaignOrder):
                self._order(one)
            elif isinstance(one, Event):
                self._past.setdefault(one.user, []).append(one)
                self._convert(one)

    # --- orders ----------------------------------------------------------------------------------------------------

    def _order(self, order: CampaignOrder) -> None:
        if order.order == "start":
            campaign = decode_campaign(bytes(order.campaign))
            if any(one.campaign.name == campaign.name and self._is_open(one) for one in self.starts.values()):
                self.refused.add(order.id)
                return
            due = {user: self._now + 1 + self._offset(campaign, user) for user in self._past}
            audience = {user for user in self._past if self._is_in(user, self._now)}
            self.starts[order.id] = _Start(campaign, due, audience, max(due.values(), default=self._now + 1))
            return
        if order.id in self.refused:
            return
        found = self.starts[order.id]
        if order.order == "pause" and found.status == "running":
            found.status, found.paused_at = "paused", self._now
        elif order.order == "resume" and found.status == "paused":
            found.status = "running"
            found.due = {user: due + self._now - found.paused_at for user, due in found.due.items()}
            found.end += self._now - found.paused_at
        elif order.order == "cancel":
            found.status = "cancelled"

    def _is_open(self, one: _Start) -> bool:
        return one.status == "paused" or (one.status == "running" and one.end > self._now)

    def _offset(self, campaign: Campaign, user: str) -> int:
        share, users, pace = share_of(campaign.name, user), len(self._past), campaign.pace
        canary = (users * pace.first // 2**64) // 2
        if share < pace.first:
            return math.ceil((share * canary // pace.first) / 100) * 100
        rest = 2**64 - pace.first
        span = max(pace.over, (users * rest // 2**64) // 2)
        exact = canary + (pace.then_wait if pace.first else 0) + (share - pace.first) * span // rest
        return math.ceil(exact / 100) * 100

    # --- turns -----------------------------------------------------------------------------------------------------

    def _fire(self) -> None:
        turns = [
            (due, user.encode(), number)
            for number, one in self.starts.items()
            for user, due in one.due.items()
            if one.status == "running" and due <= self._now
        ]
        for due, key, number in sorted(turns):
            one, user = self.starts[number], key.decode()
            del one.due[user]
            self._decide(one, user, int(due))

    def _decide(self, one: _Start, user: str, due: int) -> None:
        at_start, at_send = one.campaign.checked != "at_send", one.campaign.checked != "at_start"
        is_in = self._is_in(user, due)
        if (at_start and user not in one.audience) or (not at_start and not is_in):
            return
        reason = self._reason(one, user, due, has_left=at_send and not is_in)
        one.decided[user] = ("dropped" if reason else "sent", reason, self._now)
        one.turns[user] = due
        if not reason:
            self._sent.setdefault(user, []).append(self._now)

    def _reason(self, one: _Start, user: str, due: int, *, has_left: bool) -> str:
        if has_left:
            return "left_audience"
        if is_held_out(one.campaign, user):
            return "held_out"
        if self._now >= due + one.campaign.expires_after:
            return "expired"
        said = [(event.at, not event.granted) for event in self._past[user] if event.type == "consent"]
        if not said or max(said)[1]:  # at the same time, a withdrawal counts
            return "no_consent"
        if not any("email" in (event.traits or {}) for event in self._past[user]):
            return "no_address"
        if any(at > self._now - HOUR for at in self._sent.get(user, ())):
            return "capped"
        return ""

    def _is_in(self, user: str, at: int) -> bool:
        plans = [event.traits["plan"] for event in self._past[user] if event.traits]
        muted = [event.at for event in self._past[user] if event.name == "Muted"]
        return bool(plans) and plans[-1] == "pro" and not any(at - 2 * HOUR < one <= at for one in muted)

    def _convert(self, event: Event) -> None:
        for one in self.starts.values():
            goal, turn = one.campaign.goal, one.turns.get(event.user)
            is_goal = goal is not None and event.name == goal.on.event
            if goal is not None and is_goal and turn is not None and turn <= event.at <= turn + goal.within:
                one.converted.add(event.user)
