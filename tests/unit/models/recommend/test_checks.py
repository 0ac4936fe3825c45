"""Each check of recommenders finds its mistake."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from scipy.sparse import csr_array

from models.recommend import checks
from models.recommend.checks import (
    CHECKS,
    RecommenderCase,
    RecommenderCheckFailed,
    TrainedRecommender,
    check_answers_are_repeatable,
    check_blocks_are_kept_apart,
    check_catalogue_limits_the_items,
    check_held_out_items_of_a_checkerboard_are_found,
    check_items_are_different_known_and_best_first,
    check_one_click_counts_at_once,
    check_reasons_are_true,
    check_strangers_get_popular_items,
    check_unwanted_items_are_left_out,
)
from models.recommend.recommender import RecentInteraction, Recommendation
from tests.support.recommenders import RECOMMENDERS

Change = Callable[[list[Recommendation], dict[str, Any]], list[Recommendation]]
_SHARED_RANDOM = random.Random(0)


class ChangedRecommender:
    """A wrapper that changes the requests to a recommender and the recommender's answers.

    Parameters
    ----------
    trained
        The recommender inside the wrapper.
    options
        Options that replace those of the request.
    change
        Function that changes the answer; ``None`` for no change.
    """

    def __init__(self, trained: TrainedRecommender, options: dict[str, Any], change: Change | None) -> None:
        self._trained = trained
        self._options = options
        self._change = change

    def recommend(self, recent: Sequence[RecentInteraction], **options: Any) -> list[Recommendation]:
        recent = self._options.get("recent", recent)
        replaced = {name: value for name, value in self._options.items() if name != "recent"}
        found = self._trained.recommend(recent, **{**options, **replaced})
        return found if self._change is None else self._change(found, options)


def broken(change: Change | None = None, **options: Any) -> RecommenderCase:
    def train(likes: csr_array) -> TrainedRecommender:
        return ChangedRecommender(RECOMMENDERS["cpu"].train(likes), options, change)

    return RecommenderCase("broken", train)


def shuffled(found: list[Recommendation], _: dict[str, Any]) -> list[Recommendation]:
    return _SHARED_RANDOM.sample(found, len(found))


def untrue(found: list[Recommendation], _: dict[str, Any]) -> list[Recommendation]:
    return [msgspec.structs.replace(each, why="because of 99") for each in found]


def doubled(found: list[Recommendation], options: dict[str, Any]) -> list[Recommendation]:
    twice = itertools.chain.from_iterable((each, each) for each in found)
    return list(twice)[: options["k"]]


@pytest.mark.parametrize(
    ("check", "case"),
    [
        (check_held_out_items_of_a_checkerboard_are_found, broken(recent=())),
        (check_held_out_items_of_a_checkerboard_are_found, broken(exclude_recent=False)),
        (check_blocks_are_kept_apart, broken(recent=())),
        (check_one_click_counts_at_once, broken(recent=())),
        (check_answers_are_repeatable, broken(shuffled)),
        (check_items_are_different_known_and_best_first, broken(doubled)),
        (check_items_are_different_known_and_best_first, broken(lambda found, _: found[::-1])),
        (check_items_are_different_known_and_best_first, broken(k=2_000)),
        (check_unwanted_items_are_left_out, broken(exclude=())),
        (check_unwanted_items_are_left_out, broken(exclude_recent=False)),
        (check_unwanted_items_are_left_out, broken(exclude_recent=True)),
        (check_strangers_get_popular_items, broken(lambda found, _: found[1:])),
        (check_strangers_get_popular_items, broken(untrue)),
        (check_catalogue_limits_the_items, broken(catalogue=None)),
        (check_reasons_are_true, broken(untrue)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_check_finds_its_mistake(check: Callable[[RecommenderCase], None], case: RecommenderCase) -> None:
    with pytest.raises(RecommenderCheckFailed, match=r"^broken: "):
        check(case)


def test_all_checks_are_in_the_list() -> None:
    assert [name for name in checks.__all__ if name.startswith("check_")] == sorted(c.__name__ for c in CHECKS)
