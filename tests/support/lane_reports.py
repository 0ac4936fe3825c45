"""Reports of lanes for tests. By default, the lane is open and has read everything."""

from __future__ import annotations

from typing import Any

from stream.engine.reports import LaneReport, Phase


def lane_report(**changed: Any) -> LaneReport:
    """Return the default report with these fields changed."""
    values: dict[str, Any] = {
        "topic": "events",
        "partition": 3,
        "phase": Phase.READING,
        "is_open": True,
        "position": 7,
        "high_watermark": 7,
        "lag": 0,
        "seconds_since_commit": 3_600.0,
        "failures": 0,
        **changed,
    }
    return LaneReport(**values)
