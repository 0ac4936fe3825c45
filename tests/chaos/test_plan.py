"""Plans of rounds: the same seed gives the same plan, and fifty plans contain every fault."""

from __future__ import annotations

from tests.chaos.faults import POINTS
from tests.chaos.plan import EMBEDDED_KINDS, KINDS, plan

FIFTY = [plan(seed) for seed in range(1, 51)]
EMBEDDED = [plan(seed, broker="embedded") for seed in range(1, 51)]


def test_the_same_seed_gives_the_same_plan() -> None:
    assert [plan(seed) for seed in range(1, 51)] == FIFTY


def test_ten_seeds_in_a_row_have_every_kind_of_round() -> None:
    assert [one.kind for one in FIFTY[:10]] == list(KINDS)


def test_one_kind_can_be_requested() -> None:
    assert {plan(seed, "disk").kind for seed in range(1, 4)} == {"disk"}


def test_fifty_rounds_reach_every_named_point() -> None:
    named = {fault.point for one in FIFTY for lives in one.faults.values() for life in lives for fault in life}

    assert named == set(POINTS)


def test_fifty_rounds_contain_every_action_from_outside() -> None:
    assert {deed.act for one in FIFTY for deed in one.deeds} == {
        "kill", "terminate", "join", "leave", "broker", "slow", "disk", "mood",
    }  # fmt: skip
    assert {deed.target for one in FIFTY for deed in one.deeds if deed.act == "mood"} == {
        "take", "refuse", "later", "hang", "drop",
    }  # fmt: skip


def test_every_process_that_a_plan_names_exists() -> None:
    for one in FIFTY + EMBEDDED:
        roles = {"fold": one.folds, "deliver": one.delivers, "learn": one.learns}
        there = {f"{role}-{n}" for role, count in roles.items() for n in range(count)} | {"door"}
        named = {deed.target for deed in one.deeds if deed.act in ("kill", "terminate", "leave")}
        assert named | one.faults.keys() <= there, one


def test_one_learner_ends_at_a_named_point_and_one_at_a_random_moment_in_every_round() -> None:
    for one in FIFTY + EMBEDDED:
        assert "learn-0" in one.faults, one
        assert any(deed.target.startswith("learn") for deed in one.deeds), one


def test_no_process_is_stalled_and_no_broker_is_killed_on_the_embedded_broker() -> None:
    faults = {fault.action for one in EMBEDDED for lives in one.faults.values() for life in lives for fault in life}

    assert {one.kind for one in EMBEDDED} == set(EMBEDDED_KINDS)
    assert faults == {"kill", "terminate"}
    assert {deed.act for one in EMBEDDED for deed in one.deeds} == {"kill", "terminate", "mood"}


def test_a_fold_is_asked_to_end_while_the_broker_is_away() -> None:
    for one in FIFTY:
        if one.kind == "broker":
            away = min(deed.at_s for deed in one.deeds if deed.act in ("broker", "slow"))
            assert any(deed.act == "terminate" and away < deed.at_s < away + 2.1 for deed in one.deeds), one


def test_every_stall_round_stops_a_fold_and_some_stop_a_delivery_during_or_after_its_call() -> None:
    stalls = [one for one in FIFTY if one.kind == "stall"]
    stopped = [{fault.point for life in one.faults["deliver-0"] for fault in life} for one in stalls]

    assert all(one.delivers > 1 for one in stalls)
    assert set().union(*stopped) >= {"provider.in", "provider.after"}
    assert all(any(process.startswith("fold") for process in one.faults) for one in stalls)


def test_delivery_processes_join_and_leave_without_dying_in_every_rebalance_round() -> None:
    for one in FIFTY:
        if one.kind == "rebalance":
            deeds = {(deed.act, deed.target) for deed in one.deeds}
            assert {("join", "deliver"), ("leave", "deliver-0")} <= deeds, one
            assert not any(act == "kill" and target.startswith("deliver") for act, target in deeds), one
            assert not any(process.startswith("deliver") for process in one.faults), one


def test_every_broker_round_stops_the_broker_for_5_to_12_seconds() -> None:
    slow = [deed.for_s for one in FIFTY for deed in one.deeds if one.kind == "broker" and deed.act == "slow"]

    assert len(slow) == 5
    assert all(5 <= for_s <= 12 for for_s in slow)
