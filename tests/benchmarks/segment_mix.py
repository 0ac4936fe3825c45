"""Segments by rule for benchmarks: five that the shop's events touch, and any number of others of mixed kinds."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from models.batch import Batch, Restored
from models.conditions.parsing import parse_segments
from models.configuration.compiled import Configuration, encode
from models.events import Event, encode_event
from models.fold.partition import PartitionFold
from models.log import Tick, Use, encode_control, opening
from models.units import DAY
from tests.benchmarks.load import START_MS

TOUCHED: tuple[dict[str, Any], ...] = (
    {
        "all": [
            {"event": "product_view", "times": {"at_least": 3}, "within": "7d"},
            {"absent": "purchase", "for": "30d"},
        ]
    },
    {"event": "purchase", "sum": "amount", "currency": "USD", "at_least": 500, "within": "30d"},
    {"event": "product_view", "distinct": "category", "at_least": 5, "within": {"calendar": "month"}},
    {"sequence": [{"event": "cart_add"}, {"event": "page_view"}], "within": "1d", "without": "purchase"},
    {"all": [{"event": "click", "last": {"at_most": "7d"}}, {"score": "churn", "at_least": 0.6, "until_below": 0.5}]},
)
FIVE_CLAUSES: tuple[dict[str, Any], ...] = (
    {"event": "Other", "times": {"at_least": 3}, "within": "7d"},
    {"absent": "Other", "for": "30d"},
    {"trait": "plan", "is": "x"},
    {"event": "Other", "distinct": "category", "at_least": 5, "within": {"calendar": "month"}},
    {"event": "Other", "last": {"at_most": "90d"}},
)
"""Clauses that ask for something that a user does not do."""


def mixed_segments(number: int) -> list[dict[str, Any]]:
    """Return segments, of which the first five are touched by the events of the load, as in ``perennial.yaml``."""
    found = [{"name": f"touched {i}", "when": when} for i, when in enumerate(TOUCHED)]
    for i in range(number - len(TOUCHED)):
        kinds: tuple[dict[str, Any], ...] = (
            {"event": f"Other {i}", "times": {"at_least": 1 + i % 5}, "within": f"{1 + i % 60}d"},
            {"all": [{"event": f"Other {i}", "within": "ever"}, {"absent": f"Other {i + 1}", "for": f"{1 + i % 90}d"}]},
            {"score": "churn", "at_least": 0.9 + i / 10_000, "until_below": 0.8},
            {"all": [{"trait": "plan", "is": f"plan {i}"}, {"not": {"segment": "touched 1", "for": "14d"}}]},
            {"sequence": [{"event": f"Other {i}"}, {"event": f"Other {i + 2}"}], "within": "1d"},
            {"all": [{"bucket": f"pilot {i}", "below": "10%"}, {"event": f"Other {i}", "within": "9d"}]},
            {"trait": "ends", "comes_within": f"{1 + i % 9}d"},
        )
        found.append({"name": f"other {i}", "when": kinds[i % len(kinds)]})
    return found


def as_settings(segments: list[dict[str, Any]]) -> str:
    """Return the section ``segments`` of a settings file."""
    if not segments:
        return ""
    return "\nsegments:\n" + "".join(f"  - {json.dumps(one)}\n" for one in segments)


def bytes_of_idle_user(segments: int = 100) -> float:
    """Return the bytes that a segment of five clauses adds to a user who does nothing that it asks for.

    The user is folded for sixty days, with and without the segments, and is stored as an active user.
    """
    sizes = []
    for number in (0, segments):
        rules = [
            {"name": f"segment {i}", "when": {("all", "any")[i % 2]: [_numbered(one, i) for one in FIVE_CLAUSES]}}
            for i in range(number)
        ]
        configuration = encode(Configuration(segments=parse_segments(rules)))
        state = Restored()
        fold = PartitionFold(state)
        contents = [encode_control(opening("feeder"))]
        contents.append(encode_control(Use("configuration", 1, msgspec.Raw(configuration))))
        for day in range(60):
            at = START_MS + day * DAY
            event = Event(id=f"m{day}", user="user", type="page_view", at=at, origin="simulate")
            contents += [encode_control(Tick(at)), (b"user", encode_event(event))]
        for offset, (key, value) in enumerate(contents):
            outputs = fold.fold(Batch("events", 0, [_Record(offset, 0, key, value)]))
            state.apply(outputs.commit, offset + 1)
        sizes.append(len(state.records[b"user"]))
    return (sizes[1] - sizes[0]) / segments


class _Record(msgspec.Struct, frozen=True):
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def _numbered(clause: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a clause that no other segment has."""
    return {name: f"{value} {number}" if value in ("Other", "plan") else value for name, value in clause.items()}
