"""A campaign through a worker that is killed in the middle: no user is skipped, and none has a second turn."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.benchmarks.broker import a_broker
from tests.support.campaign_runs import CampaignOutcome, CampaignPlan, run


@pytest.mark.slow
def test_a_killed_worker_skips_no_user_and_repeats_none(tmp_path: Path) -> None:
    plan = CampaignPlan(users=600, partitions=2, over=12, wait=2, probes=5, before=1)
    with a_broker("embedded") as broker:
        found = asyncio.run(run(broker, plan, tmp_path))

    assert (found.skipped, found.repeated, found.wrong, found.differences, found.early) == ([], [], [], [], 0)
    assert found.late_during


def test_a_skipped_and_a_repeated_user_are_found() -> None:
    found = CampaignOutcome({"u1": ["sent", "sent"], "u3": ["sent"]}, {"u1": "sent", "u2": "sent", "u3": "no_consent"})

    assert (found.skipped, found.repeated, found.wrong) == (["u2"], ["u1"], ["u3"])
