"""Journeys for random logs: together they have every kind of entry, exit and step that the fold does."""

from __future__ import annotations

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
