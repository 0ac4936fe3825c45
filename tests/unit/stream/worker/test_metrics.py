"""Metrics of lanes: counts of their commits, and gauges of their state.

Tests share the metrics of their process, so each test that reads a total uses a topic that no other test uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from models.batch import Restored
from models.fold.memo import Memo, encode_memo
from models.log import Instruction, Use, encode_control
from monitoring import testing
from stream.engine.lanes import Lanes
from stream.engine.reports import CommitReport, LaneReport
from stream.worker.health import WaitingTimes
from stream.worker.metrics import MetricsObserver, show_lanes
from tests.support.lane_reports import lane_report


def value(metric: str, /, **labels: str) -> float:
    """Return the value of a metric, 0 if it has none."""
    return testing.value(metric, **labels) or 0.0


def commit_report(**changed: Any) -> CommitReport:
    """Return the report of an empty commit, with these fields changed."""
    values: dict[str, Any] = {
        "topic": "observed",
        "records": 0,
        "seconds": 0.01,
        "compute_seconds": 0.02,
        "oldest_stamp": None,
        "counts": {},
        "broadcasts": (),
        **changed,
    }
    return CommitReport(**values)


def test_a_commit_is_counted_with_the_counts_of_its_agent() -> None:
    folded = value("events_folded", type="rating")

    MetricsObserver().committed(commit_report(topic="counted", records=7, counts={("events_folded", "rating"): 7}))

    assert value("events_folded", type="rating") == folded + 7
    assert value("transactions", topic="counted", outcome="committed") == 1
    assert value("batch_records", topic="counted") == 7
    assert value("think_seconds", topic="counted") == pytest.approx(0.02)
    assert value("commit_seconds", topic="counted") == pytest.approx(0.01)


def test_the_time_from_event_to_commit_is_measured_from_the_oldest_record_of_the_batch() -> None:
    report = commit_report(topic="stamped", records=1, oldest_stamp=int(time.time() * 1_000) - 3_000)
    MetricsObserver().committed(report)

    assert 3.0 <= value("event_to_commit_seconds", topic="stamped") < 4.0


def test_a_version_is_shown_with_the_quality_of_its_scores() -> None:
    content = msgspec.Raw(b'{"schema":1,"weights":[0.5],"quality":{"auc":0.81,"log_loss":0.4,"graded":100}}')

    broadcasts = [encode_control(Use(name="a_model", version=3, content=content))]
    MetricsObserver().committed(commit_report(broadcasts=broadcasts))

    assert value("learner_version", model="a_model") == 3
    assert value("learner_auc", model="a_model") == 0.81
    assert value("learner_log_loss", model="a_model") == 0.4
    assert time.time() - value("learner_publish_timestamp_seconds", model="a_model") < 60


def test_a_version_without_grades_and_an_order_have_no_quality() -> None:
    ungraded = Use(name="young_model", version=1, content=msgspec.Raw(b'{"centres":[[1.0]],"quality":{"auc":null}}'))

    broadcasts = [encode_control(ungraded), encode_control(Instruction("pause", "email"))]
    MetricsObserver().committed(commit_report(broadcasts=broadcasts))

    assert value("learner_version", model="young_model") == 1
    assert testing.value("learner_auc", model="young_model") is None


def test_a_failure_and_a_restore_are_counted() -> None:
    observer = MetricsObserver()

    observer.opened("observed", 1.5)
    observer.failed("observed", TimeoutError())

    assert value("restore_seconds", topic="observed") == 1.5
    assert value("lane_failures", topic="observed", error="TimeoutError") == 1
    assert value("transactions", topic="observed", outcome="aborted") == 1


class FixedLanes:
    """Lanes with the reports and the state that a test gives."""

    def __init__(self, *reports: LaneReport, state: Restored | None = None) -> None:
        self.reports = list(reports)
        self.state = state
        self.asked = asyncio.Event()

    def snapshot(self) -> list[LaneReport]:
        self.asked.set()
        return self.reports

    def restored(self, topic: str, partition: int) -> Restored | None:
        return self.state


def a_lane(partition: int, **changed: Any) -> LaneReport:
    """Return the report of a lane that has not committed for 100 seconds although records wait."""
    return lane_report(**{"partition": partition, "lag": 4, "seconds_since_commit": 100.0, **changed})


@contextlib.contextmanager
def showing(lanes: FixedLanes) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(show_lanes(cast("Lanes", lanes), WaitingTimes()))
    try:
        yield
    finally:
        task.cancel()


async def show_once(lanes: FixedLanes) -> None:
    """Show the lanes once: ``show_lanes`` shows them before its first pause, so one wait is enough."""
    with showing(lanes):
        await lanes.asked.wait()
        await asyncio.sleep(0)


def age(partition: int) -> float:
    """Return the age of a lane's last commit, seconds."""
    return time.time() - value("last_commit_timestamp_seconds", topic="events", partition=str(partition))


async def test_the_gauges_of_a_lane_show_lag_and_the_age_of_its_commit() -> None:
    await show_once(FixedLanes(a_lane(partition=5)))

    assert value("lane_lag_records", topic="events", partition="5") == 4
    assert age(5) == pytest.approx(100, abs=2)


async def test_a_lane_that_has_read_everything_is_as_fresh_as_one_that_has_just_committed() -> None:
    await show_once(FixedLanes(a_lane(partition=6, lag=0)))

    assert age(6) < 2


async def test_a_lane_without_a_known_lag_shows_only_the_age() -> None:
    await show_once(FixedLanes(a_lane(partition=7, lag=None)))

    assert testing.value("lane_lag_records", topic="events", partition="7") is None
    assert age(7) == pytest.approx(100, abs=2)


async def test_users_and_versions_come_from_the_state_of_the_log() -> None:
    state = Restored(records={b"u1": b"", b"u2": b""}, memo=encode_memo(Memo(numbers={"observed_model": 4})))

    await show_once(FixedLanes(a_lane(partition=8), state=state))

    assert value("users", partition="8") == 2
    assert value("version_in_use", name="observed_model") == 4


async def test_a_lane_that_went_to_another_worker_is_no_longer_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.worker.metrics.SHOW_EVERY_S", 0.0)
    lanes = FixedLanes(a_lane(partition=9), state=Restored())

    with showing(lanes):
        await lanes.asked.wait()
        lanes.reports = []
        for _ in range(2):
            lanes.asked.clear()
            await lanes.asked.wait()

    for name in ("lane_lag_records", "last_commit_timestamp_seconds"):
        assert testing.value(name, topic="events", partition="9") is None
    assert testing.value("users", partition="9") is None
    assert value("partitions_assigned", topic="events") == 0
