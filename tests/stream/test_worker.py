"""What a worker tells of its lanes."""

from __future__ import annotations

from stream.lanes import LaneReport
from stream.worker import as_health


def test_an_unknown_lag_is_told_as_unknown_and_failures_are_told() -> None:
    lane = LaneReport(
        topic="events",
        partition=3,
        is_open=False,
        position=None,
        high_watermark=None,
        lag=None,
        seconds_since_commit=12.34,
        failures=6,
    )
    assert as_health(lane) == {
        "topic": "events",
        "partition": 3,
        "open": False,
        "position": None,
        "lag": None,
        "idle_s": 12.3,
        "failures": 6,
    }
