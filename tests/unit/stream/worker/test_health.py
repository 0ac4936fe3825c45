"""Health of a worker: the progress of its lanes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from stream.processes.worker_report import LaneHealth
from stream.worker.health import WaitingTimes, as_health, is_healthy, worker_health
from tests.support.lane_reports import lane_report


def lane(waiting_s: float = 0.0, **changed: Any) -> LaneHealth:
    """Return the health of a lane with these fields changed."""
    return as_health(lane_report(**changed), waiting_s)


def ready(*lanes: LaneHealth, assigned: bool = True, held: Mapping[str, str] = MappingProxyType({})) -> bool:
    """Return whether a worker with these lanes is ready."""
    return worker_health(lanes, assigned=assigned, held=held).ready


def test_unknown_values_are_reported_as_unknown() -> None:
    unknown = lane(is_open=False, position=None, lag=None, seconds_since_commit=12.34, failures=6)

    assert unknown == LaneHealth(
        "events", 3, open=False, position=None, lag=None, idle_s=12.3, waiting_s=0.0, failures=6
    )


def test_a_lane_without_work_is_healthy_even_long_after_its_commit() -> None:
    assert is_healthy(lane())


def test_a_record_that_has_just_arrived_after_an_idle_hour_is_healthy() -> None:
    assert is_healthy(lane(lag=1, waiting_s=0.5))


@pytest.mark.parametrize("lag", [1, None])
def test_records_that_wait_long_without_a_commit_are_not_healthy(lag: int | None) -> None:
    assert is_healthy(lane(lag=lag, waiting_s=29.0))
    assert not is_healthy(lane(lag=lag, waiting_s=31.0))


def test_a_lane_that_fails_again_and_again_is_not_healthy_although_it_is_opened_each_time() -> None:
    assert is_healthy(lane(failures=4))
    assert not is_healthy(lane(failures=5))


def test_a_long_restore_is_healthy_until_it_fails_once() -> None:
    assert is_healthy(lane(is_open=False, lag=None, waiting_s=300.0))
    assert not is_healthy(lane(is_open=False, lag=None, waiting_s=300.0, failures=1))


def test_a_worker_is_ready_when_all_of_its_lanes_are_open() -> None:
    assert ready(lane(), lane(partition=4))
    assert not ready(lane(), lane(partition=4, is_open=False))


def test_a_worker_that_stands_by_is_ready_and_one_that_knows_no_assignment_is_not() -> None:
    assert ready(assigned=True)
    assert not ready(assigned=False)
    assert not ready(lane(), assigned=False)


def test_a_worker_that_holds_its_messages_is_healthy_and_not_ready_and_says_why() -> None:
    reasons = {"delivery.public_url": "http.public_url is not set"}
    health = worker_health([lane()], assigned=True, held=reasons)

    assert (health.ready, health.healthy, health.held) == (False, True, reasons)


def test_records_have_waited_since_the_last_sample_without_waiting_records() -> None:
    now = [100.0]
    waiting = WaitingTimes(lambda: now[0])
    waiting.update([lane_report(lag=0)])
    now[0] += 5
    waiting.update([lane_report(lag=3)])
    now[0] += 5

    assert waiting.seconds(lane_report(lag=3)) == 10.0
    assert waiting.seconds(lane_report(lag=3, seconds_since_commit=2.0)) == 2.0
    assert waiting.seconds(lane_report(lag=0)) == 0.0
    assert waiting.seconds(lane_report(lag=3, is_full=True)) == 0.0


def test_a_lane_that_returns_waits_since_its_last_commit_here() -> None:
    waiting = WaitingTimes(lambda: 100.0)
    waiting.update([lane_report(lag=0)])
    waiting.update([])

    assert waiting.seconds(lane_report(lag=3, seconds_since_commit=30.0)) == 30.0
