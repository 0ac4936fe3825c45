"""Segments on a part of the real data have exactly the members that pandas and a naive count find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.real_segments import DATA, WAYS, RealData, Through, compare_data, is_equal, sample
from tests.support.segment_runs import evaluate_segments

SHARES = {"online_retail": 64, "online_retail_orders": 32, "trivago": 16}
"""The tests look at one user in this many."""


@pytest.mark.slow
@pytest.mark.parametrize("through", ["evaluator", "fold"])
@pytest.mark.parametrize("data", DATA, ids=lambda data: data.name)
def test_segments_have_the_members_of_an_independent_evaluation(
    data: RealData, through: Through, tmp_path: Path
) -> None:
    if not data.path.exists():
        pytest.skip(f"{data.path} is not there")
    path = sample(data, SHARES[data.name], tmp_path)

    rows = list(compare_data(data, path, WAYS[through]))

    assert [row for row in rows if not is_equal(row)] == []
    assert sum(row.expected for row in rows) > 100


def test_a_difference_of_one_user_is_found(tmp_path: Path) -> None:
    data = DATA[2]
    if not data.path.exists():
        pytest.skip(f"{data.path} is not there")
    path = sample(data, 50, tmp_path)

    def evaluate_with_a_ghost(*arguments: object) -> object:
        found = evaluate_segments(*arguments)  # type: ignore[arg-type]  # as compare_data gives them
        found.members["sorted and chose"][data.instants[0]].add("a ghost")
        return found

    rows = list(compare_data(data, path, evaluate_with_a_ghost))  # type: ignore[arg-type]  # it has the same result

    assert [row.only_found for row in rows if not is_equal(row)] == [["a ghost"]]
