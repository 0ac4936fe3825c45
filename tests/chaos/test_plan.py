"""Plans of rounds: the same seed is the same plan, and fifty of them leave nothing out."""

from __future__ import annotations

from tests.chaos.faults import POINTS
from tests.chaos.plan import KINDS, plan

FIFTY = [plan(seed) for seed in range(1, 51)]


def test_the_same_seed_gives_the_same_plan() -> None:
    assert [plan(seed) for seed in range(1, 51)] == FIFTY


def test_ten_seeds_in_a_row_have_every_kind_of_round() -> None:
    assert [one.kind for one in FIFTY[:10]] == list(KINDS)


def test_one_kind_can_be_asked_for() -> None:
    assert {plan(seed, "disk").kind for seed in range(1, 4)} == {"disk"}


def test_fifty_rounds_reach_every_named_point() -> None:
    named = {fault.point for one in FIFTY for lives in one.faults.values() for life in lives for fault in life}

    assert named == set(POINTS)


def test_fifty_rounds_do_everything_that_can_be_done_from_outside() -> None:
    assert {deed.act for one in FIFTY for deed in one.deeds} == {
        "kill", "terminate", "join", "leave", "broker", "disk", "mood",
    }  # fmt: skip
    assert {deed.whom for one in FIFTY for deed in one.deeds if deed.act == "mood"} == {
        "take", "refuse", "later", "hang", "drop",
    }  # fmt: skip


def test_whoever_a_plan_names_is_there() -> None:
    for one in FIFTY:
        there = {f"fold-{n}" for n in range(one.folds)} | {f"deliver-{n}" for n in range(one.delivers)} | {"door"}
        named = {deed.whom for deed in one.deeds if deed.act in ("kill", "terminate", "leave")}
        assert named | one.faults.keys() <= there, one
