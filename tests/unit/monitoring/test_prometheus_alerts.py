from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.processes.exits import STALLED, why_ended
from tests.support.paths import ROOT

PROMETHEUS = ROOT / "monitoring/prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
TESTS: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())


def promtool_says(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=False, cwd=PROMETHEUS)


def test_promtool_accepts_the_configuration_and_its_rules(promtool: str) -> None:
    checked = promtool_says(promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_each_alert_fires_for_its_problem(promtool: str) -> None:
    tested = promtool_says(promtool, "test", "rules", "alerts_test.yml")

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_is_tested_and_has_a_severity_and_a_section_in_the_runbook(rule: dict[str, Any]) -> None:
    firing = {
        case["alertname"] for test in TESTS["tests"] for case in test["alert_rule_test"] if case.get("exp_alerts")
    }
    page, anchor = rule["annotations"]["runbook"].split("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), flags=re.MULTILINE)

    assert rule["alert"] in firing
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["alert"] in headings
    assert anchor == rule["alert"].lower()


def test_the_runbook_describes_exactly_the_alerts_that_exist() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), flags=re.MULTILINE)

    assert sorted(headings) == sorted(rule["alert"] for rule in RULES)


def test_no_alert_only_checks_whether_a_process_is_up() -> None:
    for rule in RULES:
        assert not re.search(r"\bup\b", rule["expr"])


def test_the_alert_on_stalled_processes_matches_the_reason_that_is_counted() -> None:
    (expression,) = [rule["expr"] for rule in RULES if rule["alert"] == "ProcessStalled"]

    for pattern in re.findall(r'why=~"([^"]*)"', expression):
        assert re.fullmatch(pattern, why_ended(STALLED))
