"""``perennial report journeys|campaigns`` as table, as JSON and as a page with charts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from models.units import DAY, HOUR
from stream.cli import run
from stream.cli.report_page import report_page
from stream.lookup.server import LookupServer
from tests.support.answering import IDENTITY, serving
from tests.unit.models.fold.test_engagement_report import COUNTS, OUTLINE, report
from tests.unit.models.fold.test_partition_goals import BEGUN, PERSON, bought, fold, log


@pytest.fixture
def file(tmp_path: Path) -> Iterator[str]:
    """The settings of an installation whose only worker has a conversion."""
    state = fold(log(*PERSON, *BEGUN, bought("u1", DAY, "o1", 40), bought("u1", DAY + HOUR, None, 1)))
    server = LookupServer(restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity=IDENTITY)
    with serving(server) as port:
        path = tmp_path / "perennial.yaml"
        costs = "delivery: {costs: {email: {amount: 0.5, currency: EUR}}}"
        path.write_text(f"version: 1\nworker: {{port: {port}}}\nkafka: {{partitions: 1}}\n{costs}\n")
        yield str(path)


def test_a_journey_is_reported_with_lift_messages_and_cost(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "journeys", "care", "--config", file]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["journey care", "runs: 1 entered, 1 under way; ended: none"]
    assert "no lift: there is no control group (holdout)" in lines
    assert "treatment 1 2 41.00 EUR" in lines
    assert "c - email 1 not measured not measured 0 2 0 41.00 EUR 0.50 EUR" in lines


def test_all_journeys_as_json_and_a_page(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"

    assert run(["report", "journeys", "--json", "--html", str(page), "--config", file]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert [one["journey"] for one in answer["journeys"]] == ["sale", "care"]
    (row,) = answer["journeys"][1]["messages"]
    assert (row["converted"], row["revenue"], row["cost"]) == (2, {"EUR": 41.0}, {"EUR": 0.5})
    assert "<h2>care</h2>" in page.read_text()


def test_an_unknown_journey_and_a_campaign_that_was_not_started_are_refused(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "journeys", "cure", "--config", file]) == 2
    assert "did you mean care?" in capsys.readouterr().err
    assert run(["report", "campaigns", "--config", file]) == 0
    assert "no campaign was started" in capsys.readouterr().out


def test_the_page_is_well_formed_loads_nothing_and_draws_each_interval() -> None:
    shown = report() | {"journey": "trial <b>"}
    few = report(OUTLINE, COUNTS.__class__(entered=40, held_out=5))

    page = report_page({"as_of": "2026-01-01T00:00:00Z", "journeys": [shown, few]})

    root = ET.fromstring(page.removeprefix("<!doctype html>"))
    titles = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert [title.partition(":")[0] for title in titles] == ["conversions, percentage points", "EUR per run"]
    assert "trial &lt;b&gt;" in page
    assert "too few: the control group has 5 users" in page
    assert not re.findall(r"(?:src|href)=|@import|url\(", page)
