"""Health is progress: what a worker answers about itself, from what its lanes did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from stream.engine.lanes import LaneReport

STALLED_S = 30.0
"""Records that have waited for so long without a commit are not healthy."""
MOST_FAILURES = 4
"""A lane that failed more often than that without a commit in between is not healthy, however often it is opened."""


def as_health(lane: LaneReport) -> dict[str, Any]:
    """How a lane stands, for people and programs.

    Returns
    -------
    dict
        ``topic``, ``partition``; ``open``: it has its state, and commits; ``position``; ``lag``: records up to the high
        watermark of the last fetch (``None``: unknown); ``idle_s``: seconds since its last commit; ``waiting_s``:
        seconds that records have waited without a commit; ``failures`` since the last commit.
    """
    return {
        "topic": lane.topic,
        "partition": lane.partition,
        "open": lane.is_open,
        "position": lane.position,
        "lag": lane.lag,
        "idle_s": round(lane.seconds_since_commit, 1),
        "waiting_s": round(lane.waiting_s, 1),
        "failures": lane.failures,
    }


def standing(
    lanes: Sequence[Mapping[str, Any]], *, assigned: bool, held: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Whether a worker is ready and healthy, and why.

    Parameters
    ----------
    lanes
        As :func:`as_health` tells them.
    assigned
        Whether the group has told this worker which partitions are its own; there may be none left for it, and a
        worker that stands by is ready.
    held
        Reasons for which it holds its messages, name to words: while there is one, it is not ready. It is healthy,
        because a restart would change nothing.
    """
    return {
        "ready": assigned and not held and all(lane["open"] for lane in lanes),
        "healthy": all(map(is_healthy, lanes)),
        "assigned": assigned,
        "held": dict(held),
        "lanes": list(lanes),
    }


def is_healthy(lane: Mapping[str, Any]) -> bool:
    """Whether a lane does what it should.

    One that is being restored is healthy for as long as that takes: a restore in which nothing is heard of the broker
    for a minute fails, and is counted among the failures.
    """
    if lane["failures"] > MOST_FAILURES:
        return False
    if not lane["open"] and not lane["failures"]:
        return True
    return bool(lane["waiting_s"] <= STALLED_S)
