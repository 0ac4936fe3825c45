"""docs/tour.md is true: a purchase passes the functions that it names, in their order."""

from __future__ import annotations

from pathlib import Path

from tests.support.brokers import Cluster
from tests.support.purchase import trace_purchase
from tests.support.tour import STEPS

MAX_PACKAGES = 30
"""Maximum number of packages that one purchase may enter."""


async def test_a_purchase_passes_the_functions_of_the_tour_in_their_order(cluster: Cluster, tmp_path: Path) -> None:
    trace = await trace_purchase(cluster.connection, tmp_path)

    entered = list(trace.functions)
    named = [str(step) for step in STEPS]
    assert [function for function in named if function not in entered] == []
    assert sorted(named, key=entered.index) == named
    assert len({module.rpartition("/")[0] for module in trace.modules}) <= MAX_PACKAGES
