from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions.gaps import GapScale
from models.conditions.parsing import parse_condition
from models.conditions.truth import Truth
from models.lifecycle.choosing import lifecycle_of
from models.lifecycle.defaults import DefaultName
from models.lifecycle.definition import STAGES, Lifecycle, LifecycleMove
from models.lifecycle.machine import StageMachine, StageMove
from tests.support.lifecycles import (
    BEGIN,
    DAY_MS,
    SCALE,
    LifecycleArrival,
    LifecycleRun,
    StageTime,
    purchase,
    random_history,
    run,
    run_naively,
)

PRESETS: tuple[DefaultName, ...] = ("purchases", "usage")
presets = pytest.mark.parametrize("preset", PRESETS)
seeds, lengths = st.integers(0, 2**32), st.integers(1, 25)
GAP = SCALE.p90


def bought(*days: float) -> list[LifecycleArrival]:
    """Return purchases at times after the begin, in days."""
    times = [BEGIN + int(day * DAY_MS) for day in days]
    return [LifecycleArrival(now, purchase(number, now)) for number, now in enumerate(times)]


def stages(moves: Sequence[StageTime]) -> list[str]:
    """Return the stages that a user has entered."""
    return [target for _, _, target in moves]


@settings(max_examples=60, deadline=None)
@given(seeds, lengths, st.sampled_from(PRESETS))
def test_the_stage_at_every_instant_is_that_of_a_naive_evaluation_in_batches_of_any_size(
    seed: int, length: int, preset: DefaultName
) -> None:
    lifecycle, history = lifecycle_of(preset), random_history(seed, length)

    moves, content = run(lifecycle, history)

    assert moves == run_naively(lifecycle, history)
    assert all(run(lifecycle, history, batch) == (moves, content) for batch in (1, 7))


@settings(max_examples=200, deadline=None)
@given(seeds, lengths, st.sampled_from(PRESETS))
def test_a_stage_is_left_by_stated_moves_only_and_at_most_once_in_a_step(
    seed: int, length: int, preset: DefaultName
) -> None:
    lifecycle, history = lifecycle_of(preset), random_history(seed, length)
    stated = {(move.origin, move.target) for move in lifecycle.moves}

    moves, _ = run(lifecycle, history)

    assert {(origin, target) for _, origin, target in moves} <= stated
    assert [origin for _, origin, _ in moves[1:]] == [target for _, _, target in moves[:-1]]
    assert all(origin == "visitor" for _, origin, _ in moves[:1])


@settings(max_examples=200, deadline=None)
@given(seeds, lengths, st.sampled_from(PRESETS))
def test_time_alone_leads_into_no_stage_twice_and_an_event_makes_at_most_two_moves(
    seed: int, length: int, preset: DefaultName
) -> None:
    history, found = random_history(seed, length), LifecycleRun(lifecycle_of(preset))
    for arrival in history:
        before = len(found.moves)
        found.pass_to(arrival.now)
        silent = stages(found.moves[before:])
        assert len(silent) == len(set(silent))
        before = len(found.moves)
        found.event(arrival)
        assert len(found.moves) - before <= 2


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(2, 40))
def test_a_customer_who_buys_at_nearly_equal_intervals_moves_at_most_twice_a_purchase(seed: int, number: int) -> None:
    intervals = [(GAP + (seed >> i) % 3 - 1) / DAY_MS for i in range(number)]
    days = [sum(intervals[:i]) for i in range(number)]

    moves, _ = run(lifecycle_of("purchases"), bought(*days))

    assert len(moves) <= 2 * number + 3


@presets
def test_every_stage_is_reached(preset: DefaultName) -> None:
    seen = {"visitor"}
    for seed in range(400):
        seen.update(stages(run(lifecycle_of(preset), random_history(seed, 40))[0]))
        if len(seen) == len(STAGES):
            break

    assert seen == set(STAGES)


@presets
def test_every_stage_but_visitor_has_a_way_in_and_all_have_a_way_out(preset: DefaultName) -> None:
    moves = lifecycle_of(preset).moves

    assert {move.target for move in moves} == set(STAGES) - {"visitor"}
    assert {move.origin for move in moves} == set(STAGES)


def test_a_customer_is_lost_by_silence_and_won_back_by_a_purchase() -> None:
    moves, _ = run(lifecycle_of("purchases"), bought(0, 5, 10, 15, 140, 150))

    assert moves[:4] == [
        (BEGIN, "visitor", "activated"),
        (BEGIN + 5 * DAY_MS, "activated", "engaged"),
        (BEGIN + 15 * DAY_MS, "engaged", "loyal"),
        (BEGIN + 15 * DAY_MS + GAP, "loyal", "at_risk"),
    ]
    assert moves[4:8] == [
        (BEGIN + 15 * DAY_MS + 2 * GAP, "at_risk", "dormant"),
        (BEGIN + 15 * DAY_MS + 4 * GAP, "dormant", "churned"),
        (BEGIN + 140 * DAY_MS, "churned", "won_back"),
        (BEGIN + 150 * DAY_MS, "won_back", "engaged"),
    ]


def test_longer_gaps_keep_what_is_known_of_a_user_and_move_no_one_back() -> None:
    found = LifecycleRun(lifecycle_of("purchases"))
    for arrival in bought(0, 5, 10, 15):
        found.event(arrival)
    found.pass_to(BEGIN + 15 * DAY_MS + GAP)
    assert found.stage == "at_risk"
    found.store()

    found.rescale(GapScale(SCALE.median, SCALE.p75, 2 * GAP))
    assert found.stage == "at_risk"  # half a gap is now as long as the silence was, and does not bring back
    found.pass_to(BEGIN + 15 * DAY_MS + 4 * GAP - 1)
    assert found.stage == "at_risk"
    found.pass_to(BEGIN + 15 * DAY_MS + 4 * GAP)

    assert found.moves[-1] == (BEGIN + 15 * DAY_MS + 4 * GAP, "at_risk", "dormant")


def test_shorter_gaps_move_a_user_in_silence() -> None:
    found = LifecycleRun(lifecycle_of("purchases"))
    found.event(bought(0)[0])
    found.pass_to(BEGIN + GAP // 2)
    moves = list(found.moves)

    found.rescale(GapScale(DAY_MS, DAY_MS, GAP // 4))

    assert found.stage == "dormant"
    assert found.moves == moves
    assert found.due == BEGIN + GAP


def test_of_several_true_moves_the_first_is_made_and_unknown_makes_none() -> None:
    machine = StageMachine(_circle("a", "b"))
    truths: dict[int, Truth] = {0: None}
    assert machine.advance("one", truths.__getitem__) is None

    truths[0] = True
    assert machine.advance("one", truths.__getitem__) == StageMove("one", "two", 0)


def test_a_circle_of_true_moves_ends() -> None:
    machine = StageMachine(_circle("a", "a"))

    assert list(machine.moves("one", lambda index: True)) == [StageMove("one", "two", 0)]
    assert len(machine.conditions) == 1


def test_a_stage_that_no_longer_exists_is_the_first_one() -> None:
    machine = StageMachine(_circle("a", "b"))

    assert machine.stage("two") == "two"
    assert machine.stage("gone") == machine.stage("") == "one"


def test_only_conditions_of_moves_out_of_the_present_stage_matter() -> None:
    machine = StageMachine(_circle("a", "b"))

    assert machine.is_affected("one", {0})
    assert not machine.is_affected("one", {1})


def _circle(there: str, back: str) -> Lifecycle:
    conditions = [parse_condition({"event": name, "within": "ever"}, "when") for name in (there, back)]
    moves = (LifecycleMove("one", "two", conditions[0]), LifecycleMove("two", "one", conditions[1]))
    return Lifecycle(("one", "two"), moves)
