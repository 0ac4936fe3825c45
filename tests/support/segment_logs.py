"""Logs of a partition with segments by rule, for tests of what people and programs read about them."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.log import Tick, Use, opening
from tests.support.event_logs import START, PartitionRecord, fold_log, written

VIEWERS = {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 2}, "within": "3h"}}
"""Members have viewed two products within three hours."""
FREE_VIEWERS = {
    "name": "free_viewers",
    "when": {"all": [{"trait": "plan", "is": "free"}, {"segment": "viewers"}, {"absent": "purchase", "for": "2d"}]},
}
"""Members are viewers on the free plan who have not bought for two days."""


def segments_in_use(version: int, *segments: dict[str, Any]) -> Use:
    """Return the record that puts a configuration with these segments into use."""
    return Use(
        name="configuration", version=version, content=msgspec.Raw(encode(parse({"segments": list(segments)}, {})))
    )


def viewed(user: str, at: int) -> Event:
    """Return the view of a product, ``at`` milliseconds after the start."""
    return Event(id=f"{user}-{at}", user=user, type="product_view", at=START + at, origin="simulate", item="s1")


def identified(user: str, at: int, **traits: Any) -> Event:
    """Return an event that states traits."""
    return Event(id=f"{user}-{at}-i", user=user, type="identify", at=START + at, origin="simulate", traits=traits)


def tick(at: int) -> Tick:
    """Return the record that moves the clock to ``at`` milliseconds after the start."""
    return Tick(at=START + at)


def segment_log(*contents: Any) -> list[PartitionRecord]:
    """Return the records of a log with a feeder's clock."""
    return written([opening("feeder"), *contents])


def folded(*contents: Any) -> Restored:
    """Return the state after a log with a feeder's clock."""
    return fold_log(segment_log(*contents), itertools.repeat(1_000))[0]
