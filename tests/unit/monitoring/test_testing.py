from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from monitoring.metrics import UnknownMetric, count, declare, gauge, increment, observe
from monitoring.testing import capture_metrics, value


def test_a_capture_contains_only_the_increments_of_its_block() -> None:
    increment("events_accepted", "http")
    with capture_metrics() as captured:
        increment("events_accepted", "http", by=2)
        gauge("users", 7, "0")
        observe("commit_seconds", 0.1, "events")
        observe("commit_seconds", 0.1, "events")
    increment("events_accepted", "http")

    assert captured == {("events_accepted", "http"): 2, ("commit_seconds", "events"): 2}


def test_a_capture_is_up_to_date_inside_its_block() -> None:
    with capture_metrics() as captured:
        assert captured["interactions",] == 0
        increment("interactions")
        assert captured["interactions",] == 1
        increment("interactions")

    assert captured["interactions",] == 2


def test_a_capture_ends_with_a_block_that_raises() -> None:
    with pytest.raises(ValueError, match="non-negative"), capture_metrics() as captured:
        increment("interactions", by=-1)
    increment("interactions")

    assert dict(captured) == {}


@pytest.mark.parametrize(
    "key", [("no_such_metric",), ("events_accepted",), ("events_accepted", "http", "more"), ("users", "0")]
)
def test_a_capture_raises_for_a_misspelt_name_a_gauge_or_wrong_labels(key: tuple[str, ...]) -> None:
    with capture_metrics() as captured, pytest.raises(UnknownMetric, match=key[0]):
        captured[key]


def test_a_value_is_that_of_a_counter_or_gauge_and_the_sum_of_a_histogram() -> None:
    registry = CollectorRegistry()
    made = declare(registry)
    count({("events_folded", "click"): 3}, made)
    gauge("users", 4, "1", metrics=made)
    observe("restore_seconds", 1.5, "events", metrics=made)
    observe("restore_seconds", 2.0, "events", metrics=made)

    assert value("events_folded", registry, type="click") == 3
    assert value("users", registry, partition="1") == 4
    assert value("restore_seconds", registry, topic="events") == 3.5
    assert value("users", registry, partition="2") is None


def test_a_value_raises_for_a_misspelt_name_and_for_wrong_labels() -> None:
    with pytest.raises(UnknownMetric, match="no_such_metric"):
        value("no_such_metric")
    with pytest.raises(UnknownMetric, match="partition"):
        value("users", topic="events")
