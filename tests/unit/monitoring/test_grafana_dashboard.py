import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.declarations import DECLARED
from tests.support.paths import ROOT

MONITORING = ROOT / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana/dashboards/perennial.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus/alerts.yml").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]

PANEL_QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
QUERIES = PANEL_QUERIES + [(rule["alert"], rule["expr"]) for rule in RULES]

EXPOSED = {
    series: declared
    for declared in DECLARED
    for series in (
        [declared.exposed + suffix for suffix in ("_bucket", "_sum", "_count")]
        if declared.kind == "histogram"
        else [declared.exposed]
    )
}
# Labels that Prometheus or a histogram adds, and prometheus-client's metrics of the process.
EVERYWHERE = {"instance", "job", "le"}
PROCESS = {"process_resident_memory_bytes", "process_start_time_seconds"}


def named_metrics(query: str) -> set[str]:
    return set(re.findall(r"\b(?:perennial|process)_[a-z_]+", query))


def named_labels(query: str) -> set[str]:
    lists = re.findall(r"\b(?:by|on|without|ignoring) \(([a-z_, ]*)\)", query)
    matchers = re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)\s*\"", query)
    return {name.strip() for one in lists for name in one.split(",") if name.strip()} | set(matchers)


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_a_panel_or_rule_names_only_declared_metrics_and_their_labels(where: str, query: str) -> None:
    metrics = named_metrics(query)

    assert metrics, where
    assert metrics <= EXPOSED.keys() | PROCESS
    known = {label for metric in metrics if metric in EXPOSED for label in EXPOSED[metric].labels}
    assert named_labels(query) <= known | EVERYWHERE


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_legend_names_only_labels_that_the_query_keeps(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        aggregated = re.search(r"\b(?:sum|max|min|histogram_quantile)\b", target["expr"])
        metrics = named_metrics(target["expr"]) - PROCESS
        declared = {label for metric in metrics for label in EXPOSED[metric].labels}
        kept = named_labels(target["expr"]) if aggregated else declared | EVERYWHERE
        assert shown <= kept, target["expr"]


def test_every_metric_is_shown_or_watched() -> None:
    named = {EXPOSED[name].name for _, query in QUERIES for name in named_metrics(query) if name in EXPOSED}

    assert {declared.name for declared in DECLARED} - named == {"build_info"}


def test_the_dashboard_has_its_rows_in_order() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]

    assert rows == ["Traffic", "Models", "Messages", "Retrainer"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_has_a_description_and_a_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None


def test_panels_have_unique_numbers_and_do_not_overlap() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(set(numbers)) == len(numbers)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_asks_the_provisioned_data_source() -> None:
    provisioned = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())
    uids = {source["uid"] for source in provisioned["datasources"]}
    asked = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}

    assert asked <= uids


def test_every_query_of_a_panel_is_promql(tmp_path: Path, promtool: str) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, (_, query) in enumerate(PANEL_QUERIES)
    ]
    written = tmp_path / "panels.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    checked = subprocess.run([promtool, "check", "rules", written], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
