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
]
