"""Random segments through the whole fold: the moves of a naive evaluation, and the same bytes in any batches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.condition_folds import compare_folds, random_fold_case
from tests.support.feature_folds import random_feature_case


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 45))
def test_membership_at_every_instant_is_that_of_a_naive_evaluation_in_batches_of_any_size(
    seed: int, segments: int, arrivals: int
) -> None:
    assert compare_folds(random_fold_case(seed, segments, arrivals))[1] == ""


def test_a_membership_that_has_lasted_is_decided_with_the_time_since_which_the_user_is_known() -> None:
    assert compare_folds(random_fold_case(7_000_394, 5, 22))[1] == ""


@pytest.mark.parametrize("seed", [100, 126])
def test_a_new_time_zone_is_seen_by_the_first_event_of_a_piece(seed: int) -> None:
    assert compare_folds(random_fold_case(seed, 1 + seed % 5, seed % 46))[1] == ""


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 40))
def test_conditions_on_features_hold_by_the_features_of_the_newest_scored_step(
    seed: int, segments: int, arrivals: int
) -> None:
    assert compare_folds(random_feature_case(seed, segments, arrivals))[1] == ""


@pytest.mark.parametrize("seed", [20_261_261_783_816, 20_261_261_784_242])
def test_an_assessment_before_the_conditions_came_gives_the_features_of_the_first_decision(seed: int) -> None:
    assert compare_folds(random_feature_case(seed, 1 + seed % 5, seed % 46))[1] == ""
