import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.condition_passes import evaluate_in_passes
from tests.support.condition_runs import evaluate, random_case


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 45), st.sampled_from((1, 7, 500)))
def test_decisions_after_all_facts_of_a_piece_are_those_after_each_event(
    seed: int, segments: int, arrivals: int, piece: int
) -> None:
    case = random_case(seed, segments, arrivals)
    moves, _ = evaluate(case, 5_000)
    assert sorted(evaluate_in_passes(case, piece)[0]) == sorted(moves)


@pytest.mark.parametrize("seed", [168, 179, 389])
def test_timers_of_clauses_and_of_memberships_at_the_same_time_are_decided_together(seed: int) -> None:
    case = random_case(seed, 1 + seed % 5, seed % 45)
    moves, _ = evaluate(case, 5_000)
    assert moves
    for piece in (1, 7):
        assert sorted(evaluate_in_passes(case, piece)[0]) == sorted(moves)
