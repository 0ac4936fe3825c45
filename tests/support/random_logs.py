"""Random logs in which much happens close together: waiting messages, equal times, new versions, bad records.

They are made to show a fold that depends on the place at which a log is cut. So templates name everything that a
decision sees, rules react to events of many kinds, and times are multiples of a coarse step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from models.configuration.compiled import decode, encode
from models.configuration.journeys.parsing import parse_journeys
from models.configuration.journeys.versions import version_of
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event, EventType, OrderLine
from models.log import Control, Instruction, JourneyOrder, JourneyOrders, Tick, Use, opening
from models.profile.trait_limits import MAX_NEEDED_BYTES
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import churn_version, gaps_version, population_version, segments_version
from tests.support.event_logs import START, PartitionRecord, written
from tests.support.random_journeys import JOURNEYS, MARKED, varied

OrderKind = Literal["move", "exit", "pause", "resume"]
__all__ = ["crowded_log", "log_with_orders", "random_log", "with_populations"]

_SEEN = (
    "{{ segment }} {{ risk }} {{ traits }} {{ cart.count }} {{ cart.items }} {{ orders }} {{ spent }} "
    "{{ unsubscribe_url }}"
)
_TEMPLATES = {
    "seen": Template(subject="Hello {{ user }}", text=_SEEN, fallback="Subject: Hello\n\nThank you."),
    "broken": Template(
        subject="Hello",
        text="{{ cart.count | divided_by: orders }}",
        fallback="Subject: Hello\n\n{{ signal.value | divided_by: 0 }}",
    ),
}
_TRIGGERS: dict[str, tuple[dict[str, Any], str]] = {
    "identified": ({"event": "identify"}, "transactional"),
    "clicked": ({"event": "click"}, "marketing"),
    "custom": ({"event": "Foo"}, "transactional"),
    "refunded": ({"event": "refund"}, "transactional"),
    "left_1h": ({"cart_left": {"for": "1h"}}, "marketing"),
    "left_2h": ({"cart_left": {"for": "2h"}}, "transactional"),
    "left_8h": ({"cart_left": {"for": "8h"}}, "transactional"),
    "risk": ({"churn_risk": {"crosses": 0.3}}, "transactional"),
    "high_risk": ({"churn_risk": {"crosses": 0.6}}, "marketing"),
    "busy": ({"entered_segment": "busy"}, "marketing"),
    "quiet": ({"entered_segment": "quiet"}, "transactional"),
    "first": ({"first_purchase": True}, "transactional"),
}
_BROKEN = frozenset({"custom", "left_2h"})
_KINDS: tuple[EventType, ...] = (
    *("page_view", "product_view", "click", "cart_add", "cart_add", "cart_remove", "purchase", "refund", "rating"),
    *("support_message", "identify", "consent", "custom", "message_opened", "message_delivered"),
)
_TRAITS: tuple[dict[str, Any], ...] = (
    {"plan": "a"},
    {"plan": "b"},
    {"plan": None},
    {"email": "new@example.org", "timezone": "Asia/Tokyo"},
    {"unsubscribed": True},
    {"unsubscribed": False},
    {"marketing_opt_out": True, "plan": "z" * 50},
)


_MOVES: list[dict[str, Any]] = [
    {"from": ["visitor", "new"], "to": "engaged", "when": {"event": "click", "times": {"at_least": 2}, "within": "6h"}},
    {"from": "engaged", "to": "new", "when": {"absent": "click", "for": "12h"}},
]
_FEATURED_MOVES: list[dict[str, Any]] = [
    {"from": "visitor", "to": "loyal", "when": {"feature": "views_7d", "at_least": 1}},
    {"from": ["loyal", "engaged"], "to": "at_risk", "when": {"feature": "activity_1d", "less_than": 0.2}},
]
_STAGED: dict[str, dict[str, Any]] = {
    "staged": {"any": [{"lifecycle": ["engaged", "at_risk"]}, {"all": [{"lifecycle": "new"}, {"segment": "viewer"}]}]},
    "visitor": {"all": [{"lifecycle": "visitor"}, {"trait": "plan", "is": "a"}]},
}
_FEATURED: dict[str, dict[str, Any]] = {
    "loyal": {"feature": "orders", "at_least": 0.5},
    "fading": {"feature": "activity_7d", "at_least": 1.2, "until_below": 0.9},
    "reader": {"all": [{"feature": "messages_opened", "more_than": 0}, {"trait": "plan", "is": "a"}]},
    "late": {"any": [{"feature": "days_since_last", "at_least": 0.3}, {"segment": "viewer"}]},
    "not_steady": {"not": {"feature": "activity_trend", "at_least": 1, "at_most": 4}},
    "evening": {"feature": "evening_share", "in": [0, 1]},
    "long_loyal": {"segment": "loyal", "for": "6h"},
}
_ENTERING = frozenset({"loyal", "not_steady", "silent", "not_viewer", "half", "long_loyal", "mixed"})
"""Segments of logs with features whose matching users enter with a signal when the segment is applied."""
_SEGMENTS: dict[str, dict[str, Any]] = {
    "viewer": {"event": "product_view", "times": {"at_least": 2}, "within": "3h"},
    "clicker": {"event": "click", "where": {"item": {"in": ["s1", "s2"]}}, "times": {"at_least": 1}, "within": "1d"},
    "buyer": {"event": "purchase", "sum": "amount", "currency": "EUR", "at_least": 60, "within": "2d"},
    "silent": {"absent": "click", "for": "1d"},
    "varied": {"event": "product_view", "distinct": "item", "at_least": 2, "within": {"calendar": "day"}},
    "undecided": {"sequence": [{"event": "cart_add"}, {"event": "page_view"}], "without": "purchase", "within": "6h"},
    "plan_a": {"trait": "plan", "is": "a"},
    "at_risk": {"score": "churn", "at_least": 0.5, "until_below": 0.3},
    "risky": {"score": "churn", "at_least": 0.3},
    "reachable": {"consent": {"purpose": "marketing", "channel": "email"}, "is": "granted"},
    "half": {"bucket": "half", "below": "50%"},
    "busy_viewer": {"all": [{"segment": "viewer"}, {"segment": "busy"}]},
    "not_viewer": {
        "all": [{"not": {"segment": "viewer"}}, {"event": "click", "times": {"at_least": 1}, "within": "4h"}],
    },
    "long_viewer": {"segment": "viewer", "for": "1h"},
    "long_busy": {"segment": "busy", "for": "6h"},
    "long_silent": {"all": [{"segment": "silent", "for": "12h"}, {"not": {"segment": "buyer"}}]},
    "mixed": {"any": [{"segment": "silent"}, {"all": [{"trait": "plan", "is": "a"}, {"segment": "buyer"}]}]},
}


def random_log(
    seed: int,
    *,
    with_versions: bool,
    with_segments: bool = False,
    with_lifecycle: bool = False,
    with_features: bool = False,
    with_journeys: bool = False,
) -> list[PartitionRecord]:
    """Make the log of a seed.

    Parameters
    ----------
    seed
        The seed.
    with_versions
        Whether new versions and instructions come between the events.
    with_segments
        Whether configurations have segments by rule, and rules that wait for them.
    with_lifecycle
        Whether configurations with segments have a lifecycle, too.
    with_features
        Whether they have segments that read features, too.
    with_journeys
        Whether configurations with segments have journeys, too.
    """
    log = _RandomLog(random.Random(seed), with_versions=with_versions, with_segments=with_segments)
    log.has_lifecycle, log.has_features, log.has_journeys = with_lifecycle, with_features, with_journeys
    return log.records()


def log_with_orders(seed: int) -> list[PartitionRecord]:
    """Make the log of a seed with journeys in changing versions, and orders about their runs."""
    log = _RandomLog(random.Random(seed), with_versions=True, with_segments=True)
    log.has_journeys = log.has_orders = True
    return log.records()


def crowded_log(seed: int) -> list[PartitionRecord]:
    """Make the log of a seed in which many statements about consent come with traits that have no room.

    The clock is the wall clock, so that complaints and bounces are reported to delivery.
    """
    chance, contents = random.Random(seed), list[Event | Control]()
    users = [f"u{number}" for number in range(3)]
    for user in users:
        filler = {"street": "x" * (MAX_NEEDED_BYTES - chance.choice((20, 60, 90, 200)))}
        traits: dict[str, Any] = {"email": f"{user}@example.org", "phone": "+4915112345678", "address": filler}
        contents.append(Event(id=f"{user}i", user=user, type="identify", at=START, traits=traits))
    contents.append(_configuration(1, frozenset()))
    for number in range(chance.randrange(40, 90)):
        names = chance.sample(("unsubscribed", "email_opt_out", "sms_opt_out", "plan"), chance.randrange(4))
        stated = {name: chance.choice((True, False, "yes")) for name in names}
        kind: EventType = chance.choice(("consent", "consent", "custom", "identify", "click", "cart_add", "refund"))
        of_kind: dict[str, dict[str, Any]] = {
            "consent": {"granted": chance.random() < 0.5, "channel": chance.choice((None, "email", "sms"))},
            "custom": {"name": "Email Bounced", "properties": {"type": "hard"}},
            "refund": {"order": f"o{chance.randrange(3)}", "amount": 10**6},
            "identify": {},
        }
        details = of_kind.get(kind, {"item": "s1"})
        at = START + number if chance.random() < 0.9 else START - 9 * DAY
        has_complaint = kind == "consent" and chance.random() < 0.5
        name = f"m{number}" if chance.random() < 0.9 else f"m{chance.randrange(number + 1)}"
        said: dict[str, Any] = stated or ({"plan": "a"} if kind == "identify" else {})
        details |= {"traits": said or None, "complaint": has_complaint}
        contents.append(Event(id=name, user=chance.choice(users), type=kind, at=at, **details))
    return written(contents)


def with_populations(log: list[PartitionRecord]) -> list[PartitionRecord]:
    """Return a log of the second level with new cut points after every twelfth record."""
    raised = written([Use(name="level", version=2, content=msgspec.Raw(b"null"))])[0]
    contents = [(record.timestamp, record.key, record.value) for record in log]
    contents.insert(1, (log[0].timestamp, raised.key, raised.value))
    for number, place in enumerate(range(len(log), 3, -12), start=1):
        key, value = written([population_version(100 - number)])[0][2:]
        contents.insert(place, (log[place - 1].timestamp, key, value))
    return [PartitionRecord(offset, *content) for offset, content in enumerate(contents)]


class _RandomLog:
    """A log while it is made: its contents, each with its timestamp."""

    def __init__(self, chance: random.Random, *, with_versions: bool, with_segments: bool) -> None:
        self._chance = chance
        self._with_segments = with_segments
        self.has_lifecycle = self.has_features = self.has_journeys = self.has_orders = False
        self._walked: dict[str, str] = {}
        self._with_versions = with_versions
        self._has_wall_clock = chance.random() < 0.5
        self._users = [*(f"u{number}" for number in range(chance.choice((2, 5, 12)))), "anonymous:a1"]
        self._grain = chance.choice((1, 1_000, MINUTE, 30 * MINUTE, HOUR))
        self._version = 1
        self._now = START
        self._contents: list[tuple[int, Event | Control | tuple[bytes, bytes]]] = []

    def records(self) -> list[PartitionRecord]:
        self._begin()
        for number in range(self._chance.randrange(30, 260)):
            self._step(number)
        for _ in range(self._chance.choice((2, 19))):
            self._now += DAY // 2
            self._add(Tick(at=self._now))
        records = written([content for _, content in self._contents])
        return [record._replace(timestamp=at) for record, (at, _) in zip(records, self._contents, strict=True)]

    def _add(self, content: Event | Control | tuple[bytes, bytes]) -> None:
        self._contents.append((self._now, content))

    def _begin(self) -> None:
        chance = self._chance
        if not self._has_wall_clock:
            self._add(opening("feeder"))
        elif self._with_segments:
            self._add(opening("wall"))
        journeys = self._journeys()
        self._add(_configuration(1, frozenset(), self._segments(), journeys, has_lifecycle=self.has_lifecycle))
        for model in (segments_version, churn_version):
            if chance.random() < 0.8:
                self._add(model(1))
        for user in self._users:
            traits = {"email": f"{user[:2]}@example.org", "timezone": "UTC", "phone": "+4915112345678"}
            if chance.random() < 0.8:
                self._add(Event(id=f"{user}i", user=user, type="identify", at=START, traits=traits))
            if chance.random() < 0.8:
                self._add(Event(id=f"{user}c", user=user, type="consent", at=START, granted=True))

    def _step(self, number: int) -> None:
        chance, grain = self._chance, self._grain
        pause = chance.choice((0, 0, 0, grain, 3 * grain, chance.randrange(1, 3 * HOUR), HOUR))
        if chance.random() < 0.03:
            pause = chance.randrange(3 * DAY)
        self._now += pause // grain * grain
        if chance.random() < 0.06:
            self._add(Tick(at=self._now))
        else:
            self._add(self._event(number))
        if self._with_versions and chance.random() < 0.06:
            self._version += 1
            self._add(self._control())
        if self.has_orders and chance.random() < 0.1:
            if chance.random() < 0.6:
                self._version += 1
                self._add(self._configuration(frozenset()))
            self._add(self._orders())
        if chance.random() < 0.02:
            self._add((b"\x00bad", b"junk") if chance.random() < 0.5 else (self._users[0].encode(), b"{junk"))

    def _event(self, number: int) -> Event:
        chance = self._chance
        kind = chance.choice(_KINDS)
        return Event(
            id=f"m{number}" if chance.random() < 0.95 else f"m{chance.randrange(number + 1)}",
            user=chance.choice(self._users),
            type=kind,
            at=self._now if chance.random() < 0.8 else self._now - chance.choice((1, self._grain, HOUR, DAY)),
            trust="public" if chance.random() < 0.15 else "server",
            **self._details(kind, number),
        )

    def _details(self, kind: EventType, number: int) -> dict[str, Any]:
        chance = self._chance
        if kind in ("product_view", "click", "cart_add", "cart_remove", "rating"):
            details = {"item": f"s{chance.randrange(4)}", "category": f"c{chance.randrange(14)}"}
            return {**details, "amount": 500_000, **({"rating": 4.0} if kind == "rating" else {})}
        if kind == "purchase":
            order = f"o{chance.randrange(8)}" if chance.random() < 0.8 else None
            form = "lines" if order is None else chance.choice(("lines", "whole", "whole", "replacement"))
            lines = (OrderLine("s1", 1, 10**6, "c1"),)
            return {"order": order, "amount": chance.randrange(1, 99) * 10**6, "lines": lines, "order_form": form}
        if kind == "refund":
            amount = chance.randrange(1, 50) * 10**6
            return {
                "order": f"o{chance.randrange(8)}",
                "amount": amount,
                "order_form": chance.choice(("lines", "whole")),
            }
        if kind == "identify":
            return {"traits": chance.choice(_TRAITS)}
        if kind == "consent":
            return {"granted": chance.random() < 0.7, "channel": chance.choice((None, "email", "sms"))}
        if kind == "custom":
            return {"name": chance.choice(("Foo", "Bar", "Unsubscribed")), "properties": {"x": number}}
        return {"message": f"{number:032x}"} if kind.startswith("message_") else {}

    def _control(self) -> Control:
        chance = self._chance
        made = chance.random()
        if made < 0.35:
            return segments_version(self._version)
        if made < 0.7:
            return churn_version(self._version)
        if self.has_lifecycle and made < 0.75:
            return gaps_version(self._version, chance.choice((0.1, 0.3, 1.0)))
        if made < 0.85:
            return self._configuration(frozenset(chance.sample(list(_TRIGGERS), 3)))
        return Instruction(name=chance.choice(("pause", "resume")), argument="email")

    def _configuration(self, without: frozenset[str]) -> Use:
        journeys = self._journeys()
        use = _configuration(self._version, without, self._segments(), journeys, has_lifecycle=self.has_lifecycle)
        self._walked = {one.name: version_of(one) for one in decode(bytes(use.content)).journeys}
        return use

    def _orders(self) -> JourneyOrders:
        """Return orders about some journeys."""
        chance, found = self._chance, list[JourneyOrder]()
        for name in chance.sample([one["name"] for one in JOURNEYS], chance.randrange(1, 4)):
            kind: OrderKind = chance.choice(("move", "move", "exit", "pause", "pause", "resume", "resume"))
            version, spread = self._walked.get(name, ""), chance.choice((0, HOUR, 20 * HOUR))
            found.append(JourneyOrder(name, kind, version, spread, chance.choice(("hold", "hold", "drop"))))
        return JourneyOrders(tuple(found))

    def _journeys(self) -> list[dict[str, Any]]:
        """Return some journeys, each in one of several versions."""
        if not self.has_journeys:
            return []
        found = self._chance.sample(JOURNEYS, self._chance.randrange(4, len(JOURNEYS) + 1))
        if self.has_orders:
            return [varied(one, self._chance) for one in found]
        return [{**one, "steps": one["steps"][self._chance.randrange(2) :]} for one in found]

    def _segments(self) -> list[str]:
        """Return the names of some segments, with those that they refer to."""
        if not self._with_segments or self._chance.random() < 0.1:
            return []
        names = self._chance.sample(list(_SEGMENTS), self._chance.randrange(3, len(_SEGMENTS)))
        if self.has_features:
            names += [*self._chance.sample(list(_FEATURED), self._chance.randrange(2, len(_FEATURED))), "loyal"]
        return sorted({*names, "viewer", "silent", "buyer"})


def _configuration(
    version: int,
    without: frozenset[str],
    segments: Sequence[str] = (),
    journeys: Sequence[dict[str, Any]] = (),
    *,
    has_lifecycle: bool = False,
) -> Use:
    triggers = {**_TRIGGERS, **{name: ({"entered_segment": name}, "transactional") for name in segments[::2]}}
    if segments and has_lifecycle:
        triggers["stage"] = ({"entered_stage": "engaged"}, "transactional")
    rules = [
        {
            "name": name,
            "category": category,
            "when": when,
            "template": "broken" if name in _BROKEN else "seen",
            "channels": ["email", "sms"] if name == "clicked" else ["email"],
        }
        for name, (when, category) in triggers.items()
        if name not in without
    ]
    limits: dict[str, Any] = {
        "quiet_hours": {"from": "22:00", "to": "08:00"},
        "caps": [{"messages": 6, "within": "2d"}],
    }
    if segments:
        every = _SEGMENTS | _FEATURED
        entering = _ENTERING if not _FEATURED.keys().isdisjoint(segments) else frozenset()
        limits["segments"] = [
            {"name": name, "when": every[name], **({"on_apply": "enter"} if name in entering else {})}
            for name in segments
        ]
    if segments and has_lifecycle:
        limits["segments"] = [*limits["segments"], *({"name": one, "when": when} for one, when in _STAGED.items())]
        moves = [*_MOVES, *(_FEATURED_MOVES if "loyal" in segments else ())]
        limits["lifecycle"] = {"defaults": "usage" if "varied" in segments else "purchases", "moves": moves}
    if segments and journeys:
        known = {one["name"] for one in limits["segments"]}
        marked = [{"name": name, "when": when} for name, when in MARKED.items() if name not in known]
        limits["segments"] = [*limits["segments"], *marked]
    used = parse({"rules": rules, **limits}, _TEMPLATES)
    if segments and journeys:  # with a circle, as an older release may have written it into the log
        used = msgspec.structs.replace(used, journeys=parse_journeys(list(journeys)), templates=dict(_TEMPLATES))
    content = encode(used)
    return Use(name="configuration", version=version, content=msgspec.Raw(content))
