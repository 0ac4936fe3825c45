import asyncio
import contextlib
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models.batch import AfterCommit, Outputs, Restored
from models.fold.memo import Memo, encode_memo
from models.log import Order, Use, encode_control
from monitoring import testing
from stream.engine.lane import Lane
from stream.engine.lanes import LaneReport, Lanes
from stream.worker.metrics import MetricsObserver, report


def value(metric: str, /, **labels: str) -> float:
    return testing.value(metric, **labels) or 0.0


@pytest.fixture
def lane() -> Lane:
    return cast("Lane", SimpleNamespace(topic="observed", partition=1, thought_s=0.02, oldest_stamp=None))


def test_a_commit_is_counted_with_what_the_agent_counted_in_it(lane: Lane) -> None:
    folded = value("events_folded", type="rating")

    MetricsObserver().committed(lane, 7, 0.01, Outputs(counts={("events_folded", "rating"): 7}))

    assert value("events_folded", type="rating") == folded + 7
    assert value("transactions", topic="observed", outcome="committed") == 1
    assert value("batch_records", topic="observed") == 7
    assert value("think_seconds", topic="observed") == pytest.approx(0.02)
    assert value("commit_seconds", topic="observed") == pytest.approx(0.01)


def test_the_way_of_an_event_is_measured_from_the_oldest_stamp_of_its_batch(lane: Lane) -> None:
    lane.oldest_stamp = int(time.time() * 1_000) - 3_000

    MetricsObserver().committed(lane, 1, 0.01, Outputs())

    assert 3.0 <= value("event_to_commit_seconds", topic="observed") < 4.0


def test_a_version_is_noted_with_how_good_the_scores_turned_out_to_be(lane: Lane) -> None:
    content = msgspec.Raw(b'{"schema":1,"weights":[0.5],"quality":{"auc":0.81,"log_loss":0.4,"graded":100}}')

    broadcasts = [encode_control(Use(name="a_model", version=3, content=content))]
    MetricsObserver().committed(lane, 0, 0.01, Outputs(after=AfterCommit(broadcasts=broadcasts)))

    assert value("learner_version", model="a_model") == 3
    assert value("learner_auc", model="a_model") == 0.81
    assert value("learner_log_loss", model="a_model") == 0.4
    assert time.time() - value("learner_publish_timestamp_seconds", model="a_model") < 60


def test_a_version_that_cannot_be_graded_yet_and_an_order_have_no_quality(lane: Lane) -> None:
    ungraded = Use(name="young_model", version=1, content=msgspec.Raw(b'{"centres":[[1.0]],"quality":{"auc":null}}'))

    broadcasts = [encode_control(ungraded), encode_control(Order("pause", "email"))]
    MetricsObserver().committed(lane, 0, 0.01, Outputs(after=AfterCommit(broadcasts=broadcasts)))

    assert value("learner_version", model="young_model") == 1
    assert testing.value("learner_auc", model="young_model") is None


def test_a_failure_and_a_restore_are_counted(lane: Lane) -> None:
    observer = MetricsObserver()

    observer.opened(lane, 1.5)
    observer.failed(lane, TimeoutError())

    assert value("restore_seconds", topic="observed") == 1.5
    assert value("lane_failures", topic="observed", error="TimeoutError") == 1
    assert value("transactions", topic="observed", outcome="aborted") == 1


class SomeLanes:
    """Lanes as ``report`` sees them."""

    def __init__(self, *reports: LaneReport, state: Restored | None = None) -> None:
        self.reports = list(reports)
        self.state = state
        self.asked = asyncio.Event()

    def snapshot(self) -> list[LaneReport]:
        self.asked.set()
        return self.reports

    def restored(self, topic: str, partition: int) -> Restored | None:
        return self.state


def a_lane(topic: str = "events", partition: int = 5, **changed: Any) -> LaneReport:
    values: dict[str, Any] = {
        "topic": topic,
        "partition": partition,
        "is_open": True,
        "position": 10,
        "high_watermark": 14,
        "lag": 4,
        "seconds_since_commit": 100.0,
        "failures": 0,
        "waiting_s": 100.0,
        **changed,
    }
    return LaneReport(**values)


@contextlib.contextmanager
def reporting(lanes: SomeLanes) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(report(cast("Lanes", lanes)))
    try:
        yield
    finally:
        task.cancel()


async def once(lanes: SomeLanes) -> None:
    """Let one report happen: it does so before it first waits."""
    with reporting(lanes):
        await lanes.asked.wait()
        await asyncio.sleep(0)


def age(partition: int) -> float:
    return time.time() - value("last_commit_timestamp_seconds", topic="events", partition=str(partition))


async def test_the_gauges_of_a_lane_show_lag_and_the_age_of_its_commit() -> None:
    await once(SomeLanes(a_lane(partition=5)))

    assert value("lane_lag_records", topic="events", partition="5") == 4
    assert age(5) == pytest.approx(100, abs=2)


async def test_a_lane_that_has_read_everything_is_as_fresh_as_one_that_has_just_committed() -> None:
    await once(SomeLanes(a_lane(partition=6, lag=0, waiting_s=0.0)))

    assert age(6) < 2


async def test_a_lane_that_knows_no_lag_shows_the_age_alone() -> None:
    await once(SomeLanes(a_lane(partition=7, lag=None)))

    assert testing.value("lane_lag_records", topic="events", partition="7") is None
    assert age(7) == pytest.approx(100, abs=2)


async def test_users_and_versions_come_from_the_state_of_the_log() -> None:
    state = Restored(records={b"u1": b"", b"u2": b""}, memo=encode_memo(Memo(numbers={"observed_model": 4})))

    await once(SomeLanes(a_lane(partition=8), state=state))

    assert value("users", partition="8") == 2
    assert value("version_in_use", name="observed_model") == 4


async def test_a_lane_that_went_to_another_worker_is_shown_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.worker.metrics.REPORT_EVERY_S", 0.0)
    lanes = SomeLanes(a_lane(partition=9), state=Restored())

    with reporting(lanes):
        await lanes.asked.wait()
        lanes.reports = []
        for _ in range(2):
            lanes.asked.clear()
            await lanes.asked.wait()

    for name in ("lane_lag_records", "last_commit_timestamp_seconds"):
        assert testing.value(name, topic="events", partition="9") is None
    assert testing.value("users", partition="9") is None
    assert value("partitions_assigned", topic="events") == 0
