"""``perennial report lifecycle``: the moves of a period, and the chart."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from models.fold.stages import StageCount, StagesInUse
from models.units import DAY
from stream.cli.flow_chart import HEIGHT, StageFlow, draw_flows
from stream.cli.report import moved
from stream.lookup.segments import StageCounters

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
