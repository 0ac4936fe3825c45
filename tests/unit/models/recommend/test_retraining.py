"""Decisions about the publication of models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.recommend.factors import fit_items
from models.recommend.grading import held_out_users
from models.recommend.interactions import Interaction
from models.recommend.model import Hyperparameters
from models.recommend.retraining import RetrainingPolicy, retrain
from models.recommend.window import Columns, InteractionWindow
from models.units import HOUR
from tests.support.tastes import interactions_of_two_tastes

HYPER = Hyperparameters(dimensions=8, epochs=6)
Progress = Callable[[int, int], None]


def columns_of(interactions: list[Interaction]) -> Columns:
    window = InteractionWindow(100_000, 10_000, 1_000)
    for each in interactions:
        window.add(each)
    return window.columns()


def fit_noise(
    confidence: csr_array,
    hyperparameters: Hyperparameters,
    *,
    start: NDArray[np.float32] | None,
    progress: Progress | None,
) -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(confidence.shape[1], hyperparameters.dimensions)).astype(np.float32)


def fit_nothing(
    confidence: csr_array,
    hyperparameters: Hyperparameters,
    *,
    start: NDArray[np.float32] | None,
    progress: Progress | None,
) -> NDArray[np.float32]:
    return np.full((confidence.shape[1], hyperparameters.dimensions), np.nan, np.float32)


@pytest.fixture(scope="module")
def columns() -> Columns:
    return columns_of(interactions_of_two_tastes(users=200, seed=1))


@pytest.fixture(scope="module")
def later() -> Columns:
    """Interactions of all users, and later interactions of half of them."""
    more = interactions_of_two_tastes(users=100, seed=2, start=201 * HOUR)
    return columns_of(interactions_of_two_tastes(users=200, seed=1) + more)


def test_the_first_model_is_graded_against_popularity_and_published(columns: Columns) -> None:
    model, run = retrain(columns, HYPER, fit_items)

    assert model is not None
    assert run.publish
    assert run.grade is not None
    assert run.popularity is not None
    assert run.grade.recall_at_10 > 1.5 * run.popularity.recall_at_10
    assert (run.rows, run.users, run.items) == (1600, 200, 24)


def test_a_model_that_is_worse_than_the_published_one_is_not_published(columns: Columns, later: Columns) -> None:
    published, _ = retrain(columns, HYPER, fit_items)
    model, run = retrain(later, HYPER, fit_noise, published=published)

    assert model is None
    assert not run.publish
    assert run.reason == "worse than the published one on the same tail"


def test_a_model_that_is_as_good_replaces_the_published_one(columns: Columns, later: Columns) -> None:
    published, _ = retrain(columns, HYPER, fit_items)
    model, run = retrain(later, HYPER, fit_items, published=published)

    assert model is not None
    assert run.published is not None


def test_the_tail_contains_no_training_data_of_the_published_model(columns: Columns, later: Columns) -> None:
    published, _ = retrain(columns, HYPER, fit_items)
    assert published is not None
    _, run = retrain(later, HYPER, fit_items, published=published)

    assert run.cut > published.trained_until


def test_no_model_is_trained_without_new_interactions(columns: Columns) -> None:
    published, _ = retrain(columns, HYPER, fit_items)
    model, run = retrain(columns, HYPER, fit_nothing, published=published)

    assert model is None
    assert "users to grade with" in run.reason


def test_a_model_with_numbers_that_are_not_finite_is_never_published(columns: Columns) -> None:
    model, run = retrain(columns, HYPER, fit_nothing)

    assert model is None
    assert "not finite" in run.reason


def test_the_first_model_of_a_tiny_shop_is_published_without_a_grade() -> None:
    model, run = retrain(columns_of(interactions_of_two_tastes(users=4, seed=1)), HYPER, fit_items)

    assert model is not None
    assert run.grade is None
    assert "too few to grade" in run.reason


def test_a_clock_that_is_ahead_does_not_stop_later_runs(columns: Columns) -> None:
    ahead = Interaction(user="u0", item="a0", weight=1.0, at=10_000 * HOUR, type="click")
    model, _ = retrain(columns_of([*interactions_of_two_tastes(users=200, seed=1), ahead]), HYPER, fit_items)

    assert model is not None
    assert model.trained_until <= 200 * HOUR


def test_retraining_without_interactions_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        retrain(columns_of([]), HYPER, fit_items)


def test_wanted_items_are_in_the_training_data_but_new_to_the_user() -> None:
    before = [("u", "old"), ("u", "met"), ("v", "new")]
    after = [("u", "met"), ("u", "new"), ("u", "unknown"), ("stranger", "old"), ("v", "new")]
    rows = [
        Interaction(user=user, item=item, weight=1.0, at=at, type="click")
        for at, pairs in ((1, before), (2, after))
        for user, item in pairs
    ]
    columns = columns_of(rows)
    users = held_out_users(columns.where(columns.at < 2), columns.where(columns.at >= 2), most=10, seed=0)

    assert [(user.seen, user.wanted) for user in users] == [(frozenset({"old", "met"}), frozenset({"new"}))]


def test_training_reports_its_progress_by_stage(columns: Columns) -> None:
    steps: list[tuple[str, int, int]] = []
    retrain(columns, HYPER, fit_items, policy=RetrainingPolicy(), progress=lambda *step: steps.append(step))

    assert [step[0] for step in steps] == ["grading"] * 6 + ["final"] * 2
