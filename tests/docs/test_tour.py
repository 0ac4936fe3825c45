"""docs/tour.md names functions that exist, and at most twelve of them."""

from __future__ import annotations

import ast

import pytest

from tests.support.paths import ROOT
from tests.support.tour import MAX_STEPS, STEPS, TourStep


def test_the_tour_has_at_most_twelve_steps() -> None:
    assert 5 < len(STEPS) <= MAX_STEPS
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_each_step_links_to_the_file_that_defines_its_function(step: TourStep) -> None:
    body: list[ast.stmt] = ast.parse((ROOT / step.path).read_text()).body
    for name in step.function.split("."):
        named = [
            node
            for node in body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        ]
        assert named, f"{step.path} defines no {step.function}"
        body = named[0].body
