"""Tests that the page on capacity shows what the command computes from the committed figures."""

from __future__ import annotations

import pytest

from tests.benchmarks.capacity import Assumptions, Costs, costs_markdown, markdown, needs
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "capacity.md").read_text()


def test_the_tables_are_those_that_perennial_bench_capacity_prints() -> None:
    costs = Costs.read()
    found = [needs(users, costs, Assumptions()) for users in (10_000, 1_000_000, 100_000_000)]

    assert costs_markdown(costs) in PAGE
    assert markdown(found) in PAGE


@pytest.mark.parametrize(
    "said",
    [
        f"each known user has {Assumptions().events_per_user_day:g} events a day",
        f"has {Assumptions().peak:g} times the\nmean rate",
        f"cores are busy for {Assumptions().busy:.0%} of the time. There are {Assumptions().replicas} copies",
        f"{Assumptions().bytes_per_event:g} bytes x copies",
        f"{Assumptions().broker_cores} cores each",
        f"{Assumptions().broker_tib:g} TiB each",
    ],
)
def test_the_page_states_each_assumption(said: str) -> None:
    assert said in PAGE
