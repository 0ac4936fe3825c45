"""The stages of a probe, and the figures of the fold's transactions."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from monitoring import metrics
from tests.benchmarks import latency, stages
from tests.benchmarks.open_loop import Probes
from tests.benchmarks.stages import STAGES, LaneSums


def probes() -> Probes:
    return Probes(
        due={"a": 1.0, "b": 2.0, "early": 0.0, "unread": 3.0},
        sent={"a": 1.5, "b": 2.25, "early": 0.5, "unread": 3.5},
        accepted={"a": 2.0, "b": 2.5, "early": 0.5, "unread": 4.0},
        written={"a": 4.0, "b": 2.5, "early": 0.5},
        read={"a": 8.0, "b": 3.0, "early": 0.5},
    )


def test_the_stages_of_a_probe_add_up_to_the_time_of_its_message() -> None:
    taken = probes()

    found = stages.stages_of(taken, from_=0.5)

    assert found == dict(zip(STAGES, ([250.0, 500.0], [250.0, 500.0], [0.0, 2_000.0], [500.0, 4_000.0]), strict=True))
    assert sum(map(sum, found.values())) == sum(taken.since(taken.due, from_=0.5))


def test_the_sums_of_the_fold_are_read_from_its_metrics() -> None:
    registry = CollectorRegistry()
    declared = metrics.declare(registry)
    for topic, commit_s in (("events", 0.03), ("events", 0.01), ("events.in", 9.0)):
        for name, value in (("commit_seconds", commit_s), ("think_seconds", 0.002), ("batch_records", 12.0)):
            metric = declared[name].labels(topic)
            metric.observe(value)  # type: ignore[union-attr]  # all three are histograms

    sums = LaneSums.parse(generate_latest(registry).decode(), at=5.0)

    assert tuple(sums) == pytest.approx((5.0, 2.0, 2.0, 0.04, 0.004, 24.0))
    assert sums.since(LaneSums.parse("", at=3.0)) == {
        "transactions/s": 1.0,
        "records per batch": 12.0,
        "compute, ms": pytest.approx(2.0),
        "commit, ms": pytest.approx(20.0),
    }


def test_results_with_stages_have_two_more_tables_than_results_without() -> None:
    lanes = LaneSums(1.0, 2.0, 2.0, 0.04, 0.004, 24.0).since(LaneSums.parse("", at=0.0))
    result = stages.summary([(stages.stages_of(probes(), 0.5), lanes)], latency.percentile)
    as_json = {
        "stages": {
            stage: {name: _written(one) for name, one in shown.items()} for stage, shown in result["stages"].items()
        },
        "lanes": {name: _written(one) for name, one in result["lanes"].items()},
    }

    shown, of_lanes = stages.tables({"1,000 events/s": as_json})

    assert shown.rows[0] == (STAGES[0], "375.0 / 250.0 / 500.0")
    assert of_lanes.rows[0] == ("transactions/s", "2.0")
    assert stages.tables({"1,000 events/s": as_json, "5,000 events/s": {}}) == []


def _written(spread: object) -> dict[str, object]:
    return {name: getattr(spread, name) for name in ("median", "least", "most", "runs")}
