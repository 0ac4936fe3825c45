"""The benchmark of segments: 500 segments cost an event hardly more than 5, and the command knows its limits."""

from __future__ import annotations

import cProfile
import pstats
from typing import Any

import pytest

from tests.benchmarks import segment_costs
from tests.benchmarks.load_choice import Workload, load_of
from tests.benchmarks.report import Spread, plain
from tests.benchmarks.segment_mix import bytes_of_idle_user

EVENTS = 3_000


def calls(count: int) -> float:
    """Return how many functions the fold calls for an event with a number of segments."""
    load = list(load_of(Workload.VISITS, EVENTS, days=0.2))
    fold, profiler = segment_costs.SegmentFold(count), cProfile.Profile()
    with profiler:
        fold.fold(load)
    return float(pstats.Stats(profiler).total_calls) / EVENTS  # type: ignore[attr-defined]  # not in its stubs


def test_an_event_that_touches_the_same_segments_makes_as_many_calls_with_five_hundred_as_with_five() -> None:
    few, many = calls(5), calls(500)

    assert few > 100
    assert many <= segment_costs.MAX_RATIO * few


def figures(ratio: float, idle: float) -> dict[str, Any]:
    """Return figures of the benchmark."""
    first, last = ({"count": count, "relative": Spread.of([times])} for count, times in ((5, 1.0), (500, ratio)))
    found: dict[str, Any] = plain({"points": [first, last], "idle_bytes": idle})
    return found


def test_the_benchmark_fails_above_its_limits_and_names_them() -> None:
    segment_costs.check(figures(1.15, 40))

    with pytest.raises(segment_costs.AboveLimit, match=r"500 segments cost 1\.160 x .* allowed: 1\.15 x$"):
        segment_costs.check(figures(1.16, 40))
    with pytest.raises(segment_costs.AboveLimit, match=r"five clauses adds 41 bytes .* allowed: 40$"):
        segment_costs.check(figures(1.0, 41))


def test_a_segment_adds_few_bytes_to_an_idle_user_and_the_user_is_folded() -> None:
    assert 0 < bytes_of_idle_user() <= segment_costs.MAX_IDLE_BYTES
