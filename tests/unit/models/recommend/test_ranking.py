"""Rankings are those of a plain sort, and their measures follow the definitions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from models.recommend.full_ranking import recall_and_ndcg_at
from models.recommend.ranking import recall_and_ndcg, top_rows

# Few different values, so that ties are common. Minus infinity marks rows that must not be shown.
scores = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=30)


@given(scores, st.integers(1, 40))
@settings(deadline=None)
def test_the_top_rows_are_those_of_a_stable_sort_without_hidden_rows(found: list[float], k: int) -> None:
    expected = sorted((row for row, score in enumerate(found) if score > -math.inf), key=lambda row: (-found[row], row))

    assert top_rows(np.array(found, np.float32), k).tolist() == expected[:k]


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 5))
@settings(deadline=None)
def test_recall_and_ndcg_are_between_zero_and_one(hits: list[bool], missed: int) -> None:
    wanted = max(sum(hits) + missed, 1)
    recall, ndcg = recall_and_ndcg(hits, wanted, len(hits))

    assert 0.0 <= recall <= 1.0
    assert 0.0 <= ndcg <= 1.0 + 1e-12


def test_a_ranking_that_begins_with_all_wanted_items_is_perfect() -> None:
    assert recall_and_ndcg([True, True, False], 2, 3) == (1.0, 1.0)


def test_the_grade_of_all_users_is_the_mean_of_the_grades_of_each_user() -> None:
    rng = np.random.default_rng(4)
    users = rng.normal(size=(600, 5)).astype(np.float32)
    items = rng.normal(size=(50, 5)).astype(np.float32)
    split = rng.choice(3, size=(600, 50), p=[0.8, 0.15, 0.05])
    train, test = csr_array((split == 1).astype(np.float32)), csr_array((split == 2).astype(np.float32))
    grades = []
    for user in range(600):
        wanted = np.flatnonzero(split[user] == 2)
        if len(wanted):
            row = np.where(split[user] == 1, -np.inf, items @ users[user]).astype(np.float32)
            grades.append(recall_and_ndcg([item in wanted for item in top_rows(row, 10)], len(wanted), 10))

    assert np.allclose(recall_and_ndcg_at(users, items, train, test, k=10), np.mean(grades, axis=0))
