from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from monitoring.metrics import METRICS, UnknownMetric, count, declare, forget, gauge, measured, observe
from monitoring.testing import capture_metrics, value


def test_counts_of_an_agent_are_added_under_the_exposed_name() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    count({("events_folded", "click"): 3, ("events_duplicate",): 1}, made)
    count({("events_folded", "click"): 2}, made)

    assert value("events_folded", registry, type="click") == 5
    assert value("events_duplicate", registry) == 1


@pytest.mark.parametrize(
    "key",
    [
        ("no_such_metric",),
        ("events_folded",),
        ("events_folded", "click", "more"),
        ("users", "0"),
        ("events_duplicate", "x"),
    ],
)
def test_an_unknown_name_a_wrong_kind_or_wrong_labels_raise_and_apply_nothing(key: tuple[str, ...]) -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    with pytest.raises(UnknownMetric, match=key[0]):
        count({("interactions",): 7, key: 1}, made)

    assert value("interactions", registry) == 0


def test_a_gauge_keeps_the_latest_value_until_it_is_forgotten() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    gauge("lane_lag_records", 10, "events", "3", metrics=made)
    gauge("lane_lag_records", 4, "events", "3", metrics=made)
    assert value("lane_lag_records", registry, topic="events", partition="3") == 4

    forget("lane_lag_records", "events", "3", metrics=made)
    assert value("lane_lag_records", registry, topic="events", partition="3") is None


def test_a_histogram_counts_what_it_observes() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    observe("commit_seconds", 0.02, "events", metrics=made)

    bucket = "perennial_commit_seconds_bucket"
    assert registry.get_sample_value(bucket, {"topic": "events", "le": "0.025"}) == 1
    assert registry.get_sample_value(bucket, {"topic": "events", "le": "0.01"}) == 0


def test_a_metric_of_another_kind_raises() -> None:
    assert isinstance(METRICS["commit_seconds"], Histogram)
    with pytest.raises(UnknownMetric, match="not a gauge"):
        gauge("commit_seconds", 1, "events")
    with pytest.raises(UnknownMetric, match="not a gauge"):
        forget("commit_seconds", "events")
    assert isinstance(METRICS["interactions"], Counter)
    with pytest.raises(UnknownMetric, match="not a histogram"):
        observe("interactions", 1)


def test_a_block_that_raises_is_measured_too() -> None:
    with capture_metrics() as captured, pytest.raises(RuntimeError), measured("provider_seconds", "email"):
        raise RuntimeError

    assert captured == {("provider_seconds", "email"): 1}
