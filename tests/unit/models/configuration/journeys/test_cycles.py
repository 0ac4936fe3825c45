"""Journeys that trigger each other without end are refused, and the circle is named."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.parsing import parse
from models.errors import InvalidConfiguration


def segment(name: str, when: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "when": when}


def journey(name: str, on: dict[str, Any], mark: str, again: Any = "always") -> dict[str, Any]:
    """Return a journey that sets a mark inside a branch, after a wait."""
    way = [{"id": "split", "branch": [{"if": {"trait": "plan", "is": "pro"}, "do": [{"set": {mark: True}}]}]}]
    steps = [{"id": "pause", "wait": "1d"}, *way]
    enter = {"on": on, "again": again}
    return {"name": name, "enter": enter, "exit": [{"after": "30d", "as": "late"}], "steps": steps}


SEGMENTS = [
    segment("reads_x", {"all": [{"mark": "x", "is": True}, {"trait": "plan", "is": "pro"}]}),
    segment("via", {"not": {"segment": "reads_x"}}),
    segment("reads_y", {"mark": "y", "is": True}),
]


def refused(*journeys: dict[str, Any]) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        parse({"journeys": list(journeys), "segments": SEGMENTS}, {})
    before, _, after = caught.value.allowed.partition(": ")
    assert before == "no circle that a user could walk without end"
    circle, _, end = after.rpartition(". ")
    assert end == "`again: never` in one of these journeys ends it"
    return f"{caught.value.path}: {caught.value.found}: {circle}"


@pytest.mark.parametrize("again", ["always", "once_left", {"after": "7d"}])
def test_a_circle_of_two_journeys_is_refused_with_each_link(again: Any) -> None:
    first = journey("a", {"segment": "reads_y"}, "x", again)
    second = journey("b", {"segment": "via"}, "y", again)

    assert refused(first, second) == (
        "journeys[0].enter.on.segment: reads_y: journey a sets x, segment reads_x reads x, segment via reads reads_x, "
        "journey b enters on via; journey b sets y, segment reads_y reads y, journey a enters on reads_y"
    )


def test_a_journey_that_triggers_itself_is_refused_behind_another_one() -> None:
    begin = journey("begin", {"event": "Trial"}, "x")
    turning = journey("turning", {"segment": "via"}, "x")

    assert refused(begin, turning) == (
        "journeys[1].enter.on.segment: via: journey turning sets x, segment reads_x reads x, "
        "segment via reads reads_x, journey turning enters on via"
    )


@pytest.mark.parametrize("place", [0, 1])
def test_a_circle_that_a_user_walks_once_is_allowed(place: int) -> None:
    journeys = [journey("a", {"segment": "reads_y"}, "x"), journey("b", {"segment": "via"}, "y")]
    journeys[place]["enter"]["again"] = "never"

    assert len(parse({"journeys": journeys, "segments": SEGMENTS}, {}).journeys) == 2


def test_a_chain_without_a_circle_is_allowed() -> None:
    journeys = [
        journey("a", {"event": "Trial"}, "x"),
        journey("b", {"segment": "reads_x"}, "y"),
        journey("c", {"segment": "reads_y"}, "z"),
    ]

    assert len(parse({"journeys": journeys, "segments": SEGMENTS}, {}).journeys) == 3
