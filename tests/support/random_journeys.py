"""Journeys for random logs: together they have every kind of entry, exit and step that the fold does."""

from __future__ import annotations

import random
from typing import Any

_CLICKS = {"event": "click", "times": {"at_least": 3}, "within": "3h"}
_LATE = {"after": "3d", "as": "late"}
JOURNEYS: list[dict[str, Any]] = [
    {
        "name": "foo",
        "enter": {"on": {"event": "Foo"}, "keep": ["x"], "again": "always", "meanwhile": "restart"},
        "exit": [{"on": {"event": "purchase"}, "as": "bought"}, {"when": {"segment": "silent"}, "as": "silent"}, _LATE],
        "goal": {"event": "purchase", "within": "2d", "count": "every"},
        "holdout": "30%",
        "steps": [
            {"id": "a", "send": "seen"},
            {"id": "wait", "wait_for": {"event": "click", "at_most": "5h"}, "then": [{"set": {"clicked": True}}]},
            {
                "id": "often",
                "repeat": {"every": "4h", "times": 5, "until": {"event": "rating", "since": "entry"}},
                "do": [{"id": "b", "send": "seen", "if_dropped": {"capped": "retry 7h"}}],
            },
        ],
    },
    {
        "name": "viewed",
        "category": "transactional",
        "enter": {"on": {"segment": "viewer"}, "again": {"after": "6h"}},
        "exit": [{"when": {"mark": "clicked", "is": True}, "as": "clicked"}, _LATE],
        "steps": [
            {"id": "pause", "wait": "1h"},
            {
                "id": "busy",
                "branch": [
                    {
                        "if": {"event": "click", "times": {"at_least": 3}, "within": "3h"},
                        "do": [{"id": "c", "send": "seen"}],
                    },
                    {"if": {"segment": "buyer", "for": "2h"}, "do": [{"id": "d", "send": "broken"}]},
                    {"else": [{"id": "night", "wait_until": {"time": "02:30"}}, {"id": "e", "send": "seen"}]},
                ],
            },
        ],
    },
    {
        "name": "left",
        "enter": {"on": {"signal": "cart_left", "after": "2h"}, "again": "once_left"},
        "exit": [{"on": {"event": "purchase"}, "as": "bought"}, _LATE],
        "steps": [{"id": "f", "wait": "30m"}, {"id": "g", "send": "seen"}],
    },
    {
        "name": "daily",
        "enter": {"on": {"every": {"time": "14:30"}, "of": "silent"}, "again": {"after": "20h"}},
        "exit": [{"on": {"event": "click"}, "as": "clicked"}, _LATE],
        "steps": [{"id": "k", "send": "seen"}, {"id": "l", "wait": "9h"}, {"set": {"clicked": True}}],
    },
    {
        "name": "taken",
        "enter": {"on": {"segment": "not_viewer"}, "existing": "enter", "again": "always"},
        "exit": [_LATE],
        "steps": [{"id": "m", "wait": "1h"}, {"id": "n", "send": "seen"}],
    },
    {
        "name": "turner",
        "enter": {"on": {"event": "Bar"}, "again": "always"},
        "exit": [_LATE],
        "steps": [{"set": {"turn": "a", "turns": 1}}, {"id": "h", "wait": "1h"}, {"set": {"turn": "c"}}],
    },
    {
        "name": "turn_a",
        "enter": {"on": {"segment": "turned_a"}, "again": "always"},
        "exit": [{"when": {"segment": "silent"}, "as": "silent"}, _LATE],
        "steps": [{"set": {"turn": "b", "turns": 2}}, {"id": "i", "send": "seen"}],
    },
    {
        "name": "turn_b",
        "enter": {"on": {"segment": "turned_b"}, "again": "always", "if": {"not": {"segment": "half"}}},
        "exit": [_LATE],
        "steps": [{"set": {"turn": "a"}}, {"id": "j", "wait": "1h"}],
    },
]
MARKED: dict[str, dict[str, Any]] = {
    "marked": {"mark": "clicked", "is": True},
    "long_marked": {"segment": "marked", "for": "2h"},
    "turned_a": {"mark": "turn", "is": "a"},
    "turned_b": {"all": [{"mark": "turn", "in": ["b"]}, {"mark": "turns", "at_least": 1}]},
    "half": {"bucket": "half", "below": "50%"},
}
"""Segments that read the marks of these journeys. Two journeys set a mark in turns, and enter each other so."""


def varied(journey: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a journey in which steps are missing, are inserted, or wait for another time."""
    steps, ids = list[Any](), {one.get("id") for one in journey["steps"]} - {None}
    for number, one in enumerate(journey["steps"]):
        if chance.random() < 0.2:
            steps.append({"id": f"new_{number}", "wait": chance.choice(("1m", "2h"))})
        if chance.random() < 0.85:
            made = {**one}
            if "wait" in made:
                made["wait"] = chance.choice(("5m", "30m", "1h", "9h"))
            if "wait_for" in made:
                made["wait_for"] = {**made["wait_for"], "at_most": chance.choice(("10m", "5h", "2d"))}
            if "repeat" in made:
                made["repeat"] = {**made["repeat"], "every": chance.choice(("20m", "4h"))}
            steps.append(made)
    steps = steps or [{"id": "only", "wait": "3h"}]
    names = [one["id"] for one in steps if "id" in one]
    moved = {one: chance.choice(names) for one in sorted(ids) if names and chance.random() < 0.4}
    return {**journey, "steps": steps, **({"moved_to": moved} if moved else {})}
