from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learning.evaluation import Interval, auc, auc_difference, bootstrap, brier, calibration_error, log_loss

ROWS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half(rows: list[tuple[int, bool]]) -> None:
    up = [score for score, positive in rows if positive]
    down = [score for score, positive in rows if not positive]
    pairs = [(a > b) + 0.5 * (a == b) for a in up for b in down]
    measured = auc([score for score, _ in rows], [positive for _, positive in rows])
    assert measured == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def _sample(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = generator.random(count) < 0.3
    return generator.normal(labels * 1.0), generator.normal(labels * 0.8), labels


def _interval(scores: np.ndarray, labels: np.ndarray) -> Interval | None:
    """Return DeLong's interval of one AUC: its difference from the AUC of equal scores, which is one half."""
    found = auc_difference(scores, np.zeros(len(scores)), labels)
    return None if found is None else Interval(*(0.5 + value for value in found))


def test_delongs_interval_contains_the_truth_as_often_as_its_level_states() -> None:
    generator = np.random.default_rng(1)
    truth = 0.7602499  # The AUC of two normal distributions one standard deviation apart: Phi(1 / sqrt(2)).
    covered = 0
    for _ in range(300):
        scores, _, labels = _sample(200, generator)
        interval = _interval(scores, labels)
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


def test_the_paired_interval_contains_a_difference_of_zero_as_often_as_its_level_states() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        labels = generator.random(200) < 0.4
        shared = generator.normal(labels * 1.0)
        first, second = shared + generator.normal(size=200) * 0.5, shared + generator.normal(size=200) * 0.5
        interval = auc_difference(first, second, labels)
        assert interval is not None
        covered += interval.low <= 0.0 <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


def test_the_paired_interval_excludes_zero_for_a_real_difference() -> None:
    generator = np.random.default_rng(3)
    labels = generator.random(2_000) < 0.5
    interval = auc_difference(generator.normal(labels * 1.5), generator.normal(labels * 0.5), labels)
    assert interval is not None
    assert interval.low > 0.1


def test_the_bootstrap_agrees_with_delong_if_rows_are_independent() -> None:
    scores, _, labels = _sample(600, np.random.default_rng(4))
    drawn, exact = bootstrap(scores, labels, rounds=500, seed=5), _interval(scores, labels)
    assert drawn is not None
    assert exact is not None
    assert drawn.value == pytest.approx(exact.value)
    assert drawn[1:] == pytest.approx(exact[1:], abs=0.012)


def test_drawing_whole_users_widens_the_interval_if_their_rows_repeat() -> None:
    scores, _, labels = _sample(150, np.random.default_rng(6))
    users = [number for number in range(150) for _ in range(8)]
    by_row = bootstrap(np.repeat(scores, 8), np.repeat(labels, 8), seed=7)
    by_user = bootstrap(np.repeat(scores, 8), np.repeat(labels, 8), users, seed=7)
    assert by_row is not None
    assert by_user is not None
    assert by_user.high - by_user.low > 2 * (by_row.high - by_row.low)


def test_the_same_seed_draws_the_same_interval() -> None:
    scores, _, labels = _sample(100, np.random.default_rng(8))
    assert bootstrap(scores, labels, seed=9) == bootstrap(scores, labels, seed=9)
    assert bootstrap(scores, labels, seed=9) != bootstrap(scores, labels, seed=10)


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_one_class_alone_has_no_auc(labels: list[bool]) -> None:
    assert auc([1, 2], labels) is None
    assert auc_difference([1, 2], [2, 1], labels) is None
    assert bootstrap([1, 2], labels) is None


def test_true_probabilities_are_calibrated_and_shifted_ones_are_not() -> None:
    generator = np.random.default_rng(11)
    risks = generator.random(20_000)
    labels = generator.random(20_000) < risks
    assert calibration_error(risks, labels) < 0.012
    assert calibration_error(risks**2, labels) > 0.1
    assert brier(risks, labels) < brier(risks**2, labels)
    assert log_loss(risks, labels) < log_loss(risks**2, labels)


def test_a_certain_and_wrong_probability_has_a_large_but_finite_loss() -> None:
    assert log_loss([1.0, 0.0], [False, True]) == pytest.approx(20.72, abs=0.01)
    assert calibration_error([1.0, 0.0], [True, False]) == 0.0
