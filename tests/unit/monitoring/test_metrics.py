import re
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from monitoring import metrics
from monitoring.metrics import DECLARED, METRICS, UnknownMetric, count, declare, forget, gauge, measured, observe, serve
from tests.support.paths import ROOT


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_names_are_snake_case_unique_and_carry_a_meaning() -> None:
    names = [declared.name for declared in DECLARED]

    assert len(set(names)) == len(names)
    for declared in DECLARED:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", declared.name)
        assert declared.meaning.endswith(".")
        assert declared.meaning[0].isupper()


def test_a_metric_of_time_says_seconds_in_its_name_and_in_its_meaning() -> None:
    for declared in DECLARED:
        if declared.name.endswith("_timestamp_seconds"):
            assert "Unix time" in declared.meaning
        elif declared.name.endswith("_seconds"):
            assert "seconds" in declared.meaning
        for other in ("millisecond", "_ms", "minutes"):
            assert other not in declared.name


def test_no_label_can_take_as_many_values_as_there_are_users_or_messages() -> None:
    for declared in DECLARED:
        assert not {"user", "item", "message", "id", "email"} & set(declared.labels)


def test_every_declaration_is_a_metric_of_its_kind() -> None:
    registry = CollectorRegistry()

    made = declare(registry)

    assert made.keys() == METRICS.keys() == {declared.name for declared in DECLARED}
    for declared in DECLARED:
        assert type(made[declared.name]).__name__.lower() == declared.kind


def test_counts_of_an_agent_are_added_under_the_exposed_name() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    count({("events_folded", "click"): 3, ("events_duplicate",): 1}, made)
    count({("events_folded", "click"): 2}, made)

    assert value(registry, "perennial_events_folded_total", type="click") == 5
    assert value(registry, "perennial_events_duplicate_total") == 1


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

    assert value(registry, "perennial_interactions_total") == 0


def test_a_gauge_keeps_the_latest_value_until_it_is_forgotten() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    gauge("lane_lag_records", 10, "events", "3", metrics=made)
    gauge("lane_lag_records", 4, "events", "3", metrics=made)
    assert value(registry, "perennial_lane_lag_records", topic="events", partition="3") == 4

    forget("lane_lag_records", "events", "3", metrics=made)
    assert value(registry, "perennial_lane_lag_records", topic="events", partition="3") is None


def test_a_histogram_counts_what_it_observes() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    observe("commit_seconds", 0.02, "events", metrics=made)

    assert value(registry, "perennial_commit_seconds_bucket", topic="events", le="0.025") == 1
    assert value(registry, "perennial_commit_seconds_bucket", topic="events", le="0.01") == 0


def test_a_kind_is_not_taken_for_another() -> None:
    assert isinstance(METRICS["commit_seconds"], Histogram)
    with pytest.raises(UnknownMetric, match="no gauge"):
        gauge("commit_seconds", 1, "events")
    with pytest.raises(UnknownMetric, match="no gauge"):
        forget("commit_seconds", "events")
    assert isinstance(METRICS["interactions"], Counter)
    with pytest.raises(UnknownMetric, match="no histogram"):
        observe("interactions", 1)


def test_the_server_shows_the_metrics_on_loopback_and_frees_its_port() -> None:
    registry = CollectorRegistry()
    count({("interactions",): 2}, declare(registry))

    exposition = serve(0, registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{exposition.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        exposition.close()

    assert "perennial_interactions_total 2.0" in text
    assert "# HELP perennial_interactions_total User-item interactions" in text
    again = serve(exposition.port, registry=registry)
    again.close()


def test_a_process_says_what_runs_and_how_much_memory_it_takes() -> None:
    exposition = serve(0)
    exposition.close()

    samples = {sample.name for metric in metrics.REGISTRY.collect() for sample in metric.samples}
    assert {"perennial_build_info", "process_resident_memory_bytes"} <= samples


def test_what_is_rare_and_alarming_is_there_at_zero_before_it_happens() -> None:
    registry = CollectorRegistry()
    declare(registry)

    assert value(registry, "perennial_deliveries_total", channel="email", status="unknown") == 0
    assert value(registry, "perennial_retrains_total", outcome="failed") == 0


SOURCES = "\n".join(
    path.read_text()
    for package in ("models", "agents", "stream", "monitoring")
    for path in (ROOT / package).rglob("*.py")
    if path != ROOT / "monitoring" / "metrics.py"
)


@pytest.mark.parametrize("name", sorted(METRICS.keys() - {"build_info", "learner_auc", "learner_log_loss"}))
def test_every_metric_is_written_by_somebody(name: str) -> None:
    # The two of a learner's quality are named by what its version tells of itself (stream/worker/metrics.py).
    assert f'"{name}"' in SOURCES


def test_a_block_is_measured_however_it_ends() -> None:
    registry = CollectorRegistry()
    made = declare(registry)

    with pytest.raises(RuntimeError), measured("provider_seconds", "email", metrics=made):
        raise RuntimeError

    assert value(registry, "perennial_provider_seconds_count", channel="email") == 1
