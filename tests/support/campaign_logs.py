"""Random logs with campaigns: users who come, change and buy, and campaigns that are started, paused and cancelled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from models.configuration.campaigns.definition import Campaign
from models.configuration.campaigns.parsing import parse_campaigns
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage.campaigns.orders import encode_campaign, order_id
from models.events import Event
from models.log import CampaignOrder, Control, Tick, Use, opening
from models.units import MINUTE
from tests.support.event_logs import START

TEMPLATES = {name: Template(subject=name, text="Hello. {{ unsubscribe_url }}") for name in ("sale", "news")}
AUDIENCE: dict[str, Any] = {
    "all": [{"trait": "plan", "is": "pro"}, {"not": {"event": "Muted", "times": {"at_least": 1}, "within": "2h"}}]
}
SALE: dict[str, Any] = {
    "name": "sale",
    "audience": AUDIENCE,
    "send": "sale",
    "pace": {"over": "3h", "first": ["20%", {"then_wait": "30m"}]},
    "holdout": "20%",
    "goal": {"event": "Bought", "within": "3h", "value": "amount"},
    "expires_after": "1h",
}
NEWS: dict[str, Any] = {
    "name": "news",
    "audience": AUDIENCE,
    "checked": "at_start_and_at_send",
    "send": "news",
    "pace": {"over": "2h"},
    "expires_after": "1h",
}
LATE: dict[str, Any] = {"name": "late", "audience": AUDIENCE, "checked": "at_send", "send": "news"}
CAMPAIGNS = {one.name: one for one in parse_campaigns([SALE, NEWS, LATE])}


def configuration(version: int = 1, **sections: Any) -> Use:
    """Return the record by which the campaigns come into use."""
    content = encode(parse({"campaigns": [SALE, NEWS, LATE], **sections}, TEMPLATES))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def start(campaign: Campaign, number: int = 1, **more: Any) -> CampaignOrder:
    """Return the record that starts a campaign."""
    content = msgspec.Raw(encode_campaign(campaign))
    return CampaignOrder("start", order_id(campaign, number), content, number=number, **more)


class CampaignLog:
    """A random log.

    Parameters
    ----------
    seed
        The seed.
    users
        Number of users.
    """

    def __init__(self, seed: int, users: int = 24) -> None:
        self._random = random.Random(seed)
        self._users = [f"u{number}" for number in range(users)]
        self._now = START
        self._number = 0
        self._running: list[str] = []
        self._starts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"CampaignLog({len(self._users)} users)"

    def contents(self, steps: int = 160) -> list[Event | Control]:
        """Return the contents: the first third of the steps has no campaign yet."""
        found: list[Event | Control] = [
            opening("feeder"),
            Tick(self._now),
            configuration(caps=[{"messages": 1, "within": "1h"}]),
        ]
        for number in range(steps):
            if self._random.random() < 0.4:
                self._now += self._random.choice((1, 20, 5 * MINUTE, 40 * MINUTE, 100 * MINUTE))
                found.append(Tick(self._now))
            known = self._users[: 6 + len(self._users) * number // steps]
            found.append(self._event(self._random.choice(known)))
            if number > steps // 3:
                found += self._orders()
        self._now += 24 * 60 * MINUTE
        return [*found, Tick(self._now)]

    def _event(self, user: str) -> Event:
        self._number += 1
        common: dict[str, Any] = {"id": f"m{self._number}", "user": user, "at": self._now, "origin": "simulate"}
        match self._random.randrange(8):
            case 0 | 1 | 2:
                traits: dict[str, Any] = {"plan": self._random.choice(("pro", "pro", "free"))}
                if self._random.random() < 0.8:
                    traits["email"] = f"{user}@example.org"
                return Event(type="identify", traits=traits, **common)
            case 3 | 4:
                return Event(type="consent", channel="email", granted=self._random.random() < 0.8, **common)
            case 5:
                return Event(type="custom", name="Muted", **common)
        return Event(type="custom", name="Bought", properties={"amount": 5}, **common)

    def _orders(self) -> Iterator[CampaignOrder]:
        draw = self._random.random()
        if draw < 0.06:
            name = self._random.choice(("sale", "news", "late"))
            number = self._starts[name] = self._starts.get(name, 0) + 1
            order = start(CAMPAIGNS[name], number)
            self._running.append(order.id)
            yield order
        elif draw < 0.2 and self._running:
            kinds: tuple[Literal["pause", "resume", "cancel"], ...] = ("pause", "resume", "resume", "cancel")
            kind = self._random.choice(kinds)
            yield CampaignOrder(kind, self._random.choice(self._running[-2:]))
