"""Campaigns in the fold: every user of the audience has one turn, in any cut of the log, and as a naive walk says."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from models.batch import Batch, Restored
from models.fold.campaign_counts import CampaignCounts, key_of, read_campaign_counts
from models.fold.partition import PartitionFold
from tests.support.campaign_logs import CampaignLog
from tests.support.event_logs import PartitionRecord, fold_log, written
from tests.support.naive_campaigns import NaiveCampaigns, Verdict

CUTS: tuple[dict[str, int], ...] = (
    {"size": 7},
    {"size": 500},
    {"size": 1, "restart_every": 1},
    {"size": 7, "restart_every": 1},
    {"size": 40, "max_timers": 1},
    {"size": 40, "max_timers": 3, "restart_every": 1},
)
SEEDS = range(30)
Results = tuple[dict[bytes, bytes], bytes, list[tuple[str, bytes, bytes | None]]]


def in_batches(log: list[PartitionRecord], size: int, **options: int) -> Results:
    state, given = fold_log(log, itertools.repeat(size), **options)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for o in given for r in o.commit.records]


def in_pieces(log: list[PartitionRecord], max_steps: int) -> Results:
    state = Restored()
    given = PartitionFold(state, max_steps).fold(Batch("events", 0, log))
    state.apply(given.commit)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for r in given.commit.records]


def decisions(results: Results) -> list[tuple[str, str, Verdict]]:
    found: list[tuple[str, str, Verdict]] = []
    for topic, _, value in results[2]:
        one: dict[str, Any] = json.loads(value or b"{}") if topic == "decisions" else {}
        if one.get("rule", "").startswith("campaign/"):
            verdict = (one["outcome"], one.get("reason", ""), one["at"])
            found.append((one["signal"]["run"], one["user"], verdict))
    return found


def counts(results: Results, order: str) -> CampaignCounts:
    return read_campaign_counts(results[0].get(key_of(order)))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_user_of_the_audience_has_one_turn_as_a_naive_walk_says(seed: int) -> None:
    contents = CampaignLog(seed).contents()
    naive = NaiveCampaigns()
    naive.follow(contents)

    results = in_batches(written(contents), 50)

    found = decisions(results)
    assert len({(order, user) for order, user, _ in found}) == len(found), "a user was decided twice"
    wanted = {(order, user): how for order, one in naive.starts.items() for user, how in one.decided.items()}
    assert {(order, user): how for order, user, how in found} == wanted
    for order, one in naive.starts.items():
        counted = counts(results, order)
        reasons = [reason for _, reason, _ in one.decided.values()]
        assert counted.sent == reasons.count("")
        assert counted.held_out == reasons.count("held_out")
        assert counted.dropped == {
            why: reasons.count(why) for why in sorted(set(reasons)) if why not in ("", "held_out")
        }
        assert counted.converted == len(one.converted)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_campaigns_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    log = written(CampaignLog(seed).contents())
    reference = in_batches(log, 1)

    for cut in CUTS:
        assert in_batches(log, **cut) == reference, cut
    for steps in (1, 3, 17):
        assert in_pieces(log, steps) == reference, f"pieces of {steps} steps"
