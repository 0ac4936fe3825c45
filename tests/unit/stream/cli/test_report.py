"""``perennial report``: stages with the moves of a period and their chart, and the cut points of buyers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from models.fold.stages import StageCount, StagesInUse
from models.units import DAY
from stream.cli import run
from stream.cli.flow_chart import HEIGHT, StageFlow, draw_flows
from stream.cli.report import moved
from stream.lookup.segments import StageCounters
from stream.lookup.server import LookupServer
from tests.support.answering import IDENTITY, serving
from tests.support.configured_versions import gaps_version, lifecycle_version
from tests.support.event_logs import START
from tests.support.lifecycles import purchase
from tests.support.segment_logs import folded, tick

NAMES = ["visitor", "new", "loyal"]


def counted(*moves: tuple[int, str, str, bool]) -> StageCounters:
    stages = StagesInUse()
    for day, origin, target, is_silent in moves:
        stages.count(StageCount(origin, target, day * DAY, is_silent))
    return StageCounters(20 * DAY + 5, NAMES, stages)


def test_the_moves_of_the_last_days_have_the_sequence_of_the_stages() -> None:
    found = counted((20, "new", "loyal", False), (20, "", "visitor", False), (19, "new", "loyal", False))

    assert moved(found, 1) == ([StageFlow("", "visitor", 1), StageFlow("new", "loyal", 1)], 0)
    assert moved(found, 2) == ([StageFlow("", "visitor", 1), StageFlow("new", "loyal", 2)], 0)


def test_older_moves_and_silent_ones_are_no_flows() -> None:
    found = counted((13, "visitor", "new", False), (20, "visitor", "new", True))

    assert moved(found, 7) == ([], 1)


def test_a_move_of_a_stage_that_no_longer_exists_is_left_out() -> None:
    assert moved(counted((20, "gone", "new", False)), 7) == ([], 0)


def test_the_chart_is_well_formed_and_stays_within_its_size() -> None:
    flows = [
        StageFlow("", "visitor", 900),
        StageFlow("visitor", "new", 120),
        StageFlow("new", "loyal", 7),
        StageFlow("loyal", "new", 1),
    ]

    drawn = draw_flows("Moves <of> a & b", NAMES, flows, {"visitor": 780, "new": 114})

    root = ET.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}path")) == len(flows)
    texts = [one.text or "" for one in root.findall(f"{space}text")]
    assert "Moves <of> a & b" in texts
    assert "900 visitor, 780 now" in texts
    assert all(float(y) <= HEIGHT for y in re.findall(r'y="([\d.]+)"', drawn))


def test_a_chart_without_moves_shows_the_stages() -> None:
    assert all(name in draw_flows("Moves", NAMES, [], {}) for name in NAMES)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[str]:
    """Path of the settings of an installation whose only worker has three buyers when new gaps come into use."""
    bought = [purchase(number, START + DAY, f"u{number}") for number in range(3)]
    contents = [tick(0), gaps_version(1, 100.0), lifecycle_version(1), tick(DAY), *bought, gaps_version(2, 10.0)]
    state = folded(*contents, purchase(4, START + DAY, "u1"))
    server = LookupServer(restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity=IDENTITY)
    with serving(server) as port:
        file = tmp_path / "perennial.yaml"
        file.write_text(f"version: 1\nworker: {{port: {port}}}\nkafka: {{partitions: 1}}\n")
        yield str(file)


def test_the_report_says_how_many_users_are_still_on_old_gaps_and_old_cut_points(
    settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "lifecycle", "--config", settings]) == 0
    shown = capsys.readouterr().out
    assert "2 users have not come to the new conditions yet; all have by 2026-01-02 00:00\n" in shown
    assert "3 buyers with scores; 2 still have those of older cut points than version 2\n" in shown

    assert run(["report", "lifecycle", "--config", settings, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["stages"][2:4] == [{"name": "activated", "users": 2}, {"name": "engaged", "users": 1}]
    assert (answer["waiting"], answer["adopts_until"]) == (2, "2026-01-02T00:00:00.004Z")
    assert answer["rfm"] == {"version": 2, "buyers": 3, "outdated": 2}


def test_the_cut_points_are_shown_with_the_gaps_and_who_has_older_scores(
    settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "rfm", "--config", settings]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "cut points of version 2, from 9 buyers",
        "score 20% are at most 40% are at most 60% are at most 80% are at most",
        "recency, days 1.0 2.0 3.0 4.0",
        "frequency, orders 1 2 3 4",
        "",
        "50 gaps between two purchases: half are at most 3.3 days, 75% 5.0, 90% 10.0",
        "3 buyers with scores; 2 still have those of older cut points than version 2",
        "as of 2026-01-02 00:00 UTC",
    ]

    assert run(["report", "rfm", "--config", settings, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {name: answer[name] for name in ("version", "buyers", "outdated")} == {
        "version": 2,
        "buyers": 3,
        "outdated": 2,
    }
    assert answer["as_of"] == "2026-01-02T00:00:00Z"
    cuts = [1.0, 2.0, 3.0, 4.0]
    gaps = {"median": 10 / 3, "p75": 5.0, "p90": 10.0, "count": 50}
    assert answer["population"] == {"users": 9, "recency": cuts, "frequency": cuts, "monetary": {}, "gaps": gaps}
