"""Health is progress, from what a worker knows of its lanes."""

from __future__ import annotations

from typing import Any

import pytest

from stream.engine.lanes import LaneReport
from stream.worker.health import as_health, is_healthy, standing


def lane(**changed: Any) -> dict[str, Any]:
    report: dict[str, Any] = {
        "topic": "events",
        "partition": 3,
        "is_open": True,
        "position": 7,
        "high_watermark": 7,
        "lag": 0,
        "seconds_since_commit": 3_600.0,
        "failures": 0,
        **changed,
    }
    return as_health(LaneReport(**report))


def test_what_is_unknown_is_told_as_unknown() -> None:
    told = lane(is_open=False, position=None, high_watermark=None, lag=None, seconds_since_commit=12.34, failures=6)

    assert told == {
        "topic": "events",
        "partition": 3,
        "open": False,
        "position": None,
        "lag": None,
        "idle_s": 12.3,
        "waiting_s": 0.0,
        "failures": 6,
    }


def test_a_lane_that_has_nothing_to_do_is_healthy_however_long_ago_it_committed() -> None:
    assert is_healthy(lane())


def test_a_record_that_has_just_come_after_an_idle_hour_is_no_illness() -> None:
    assert is_healthy(lane(lag=1, waiting_s=0.5))


@pytest.mark.parametrize("lag", [1, None])
def test_records_that_wait_or_may_for_long_without_a_commit_are_not_healthy(lag: int | None) -> None:
    assert is_healthy(lane(lag=lag, waiting_s=29.0))
    assert not is_healthy(lane(lag=lag, waiting_s=31.0))


def test_a_lane_that_fails_again_and_again_is_not_healthy_although_it_is_opened_each_time() -> None:
    assert is_healthy(lane(failures=4))
    assert not is_healthy(lane(failures=5))


def test_a_long_restore_is_healthy_until_it_fails_once() -> None:
    assert is_healthy(lane(is_open=False, lag=None, waiting_s=300.0))
    assert not is_healthy(lane(is_open=False, lag=None, waiting_s=300.0, failures=1))


def test_a_worker_is_ready_when_all_of_its_lanes_are_open() -> None:
    assert standing([lane(), lane(partition=4)], assigned=True)["ready"]
    assert not standing([lane(), lane(partition=4, is_open=False)], assigned=True)["ready"]


def test_a_worker_that_stands_by_is_ready_and_one_that_knows_no_assignment_is_not() -> None:
    assert standing([], assigned=True)["ready"]
    assert not standing([], assigned=False)["ready"]
    assert not standing([lane()], assigned=False)["ready"]


def test_a_worker_that_holds_its_messages_is_healthy_and_not_ready_and_says_why() -> None:
    reasons = {"delivery.public_url": "http.public_url is not set"}
    told = standing([lane(is_open=True)], assigned=True, held=reasons)

    assert (told["ready"], told["healthy"], told["held"]) == (False, True, reasons)
