"""Marks in conditions: journeys set them, and segments that read them are applied silently."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.marks import set_by
from models.configuration.parsing import parse
from models.errors import InvalidConfiguration

MARK = {"mark": "onboarded", "is": True}
TRAIT = {"trait": "plan", "is": "pro"}
JOURNEY = {
    "name": "trial",
    "enter": {"on": {"event": "Trial Started"}},
    "exit": [{"after": "30d", "as": "out"}],
    "steps": [
        {"set": {"begun": True}},
        {"id": "one", "wait_for": {"event": "Project", "at_most": "3d"}, "then": [{"set": {"onboarded": True}}]},
        {"id": "two", "branch": [{"if": TRAIT, "do": [{"set": {"plan": "pro", "begun": 2}}]}]},
    ],
}


def segment(name: str, when: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "when": when, **more}


def test_the_marks_that_journeys_set_are_found_at_any_depth() -> None:
    assert set_by(parse({"journeys": [JOURNEY]}, {}).journeys) == {"begun", "onboarded", "plan"}


@pytest.mark.parametrize("place", [0, 1])
def test_a_segment_that_reads_marks_is_applied_silently(place: int) -> None:
    segments = [segment("reader", MARK), segment("after", {"all": [TRAIT, {"segment": "reader"}]})]
    assert len(parse({"segments": segments}, {}).segments) == 2
    segments[place]["on_apply"] = "enter"

    with pytest.raises(InvalidConfiguration) as caught:
        parse({"segments": segments}, {})

    assert (caught.value.path, caught.value.found) == (f"segments[{place}].on_apply", "enter")
    assert "the segment reads marks" in caught.value.allowed


@pytest.mark.parametrize("operator", [{"comes_within": "3d"}, {"passed_since": "3d"}, {"anniversary": "day"}])
def test_a_mark_is_not_a_time(operator: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfiguration, match="nothing: a mark is not a time"):
        parse({"segments": [segment("a", {"mark": "x", **operator})]}, {})


def test_a_window_since_the_entry_is_only_for_journeys() -> None:
    written = {"none": [TRAIT, {"event": "Trial Started", "since": "entry"}]}

    with pytest.raises(InvalidConfiguration) as caught:
        parse({"segments": [segment("a", written)]}, {})

    assert (caught.value.path, caught.value.found) == ("segments[0].when.none[1].since", "entry")
