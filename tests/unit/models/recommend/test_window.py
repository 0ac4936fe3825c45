"""The window keeps the newest interactions, within its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.recommend.interactions import Interaction
from models.recommend.window import SLACK, InteractionWindow


def touch(user: str, item: str, at: int, weight: float = 1.0) -> Interaction:
    return Interaction(user=user, item=item, weight=weight, at=at, type="click")


touches = st.lists(
    st.builds(touch, st.sampled_from("uvwxyz"), st.sampled_from("abcdefgh"), st.integers(0, 1000)), max_size=80
)


@given(touches, st.integers(1, 20), st.integers(1, 6), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_the_limits_are_never_exceeded(found: list[Interaction], rows: int, users: int, items: int) -> None:
    window = InteractionWindow(rows, users, items)
    for each in found:
        window.add(each)
        assert len(window) <= rows * SLACK
    columns = window.columns()

    assert len(columns) <= rows
    assert len(columns.user_ids) <= users
    assert len(columns.item_ids) <= items
    assert (np.diff(columns.at) >= 0).all()


@given(touches)
@settings(max_examples=40, deadline=None)
def test_a_large_enough_window_contains_every_interaction_with_its_ids(found: list[Interaction]) -> None:
    window = InteractionWindow(100, 100, 100)
    for each in found:
        window.add(each)
    columns = window.columns()

    held = zip(columns.users, columns.items, columns.at, strict=True)
    named = [(columns.user_ids[user], columns.item_ids[item], int(at)) for user, item, at in held]
    assert sorted(named) == sorted((each.user, each.item, each.at) for each in found)


def test_the_newest_users_and_items_are_kept() -> None:
    window = InteractionWindow(100, users=1, items=1)
    for at, (user, item) in enumerate([("u", "a"), ("v", "a"), ("v", "b")]):
        window.add(touch(user, item, at))
    columns = window.columns()

    assert (columns.user_ids, columns.item_ids, columns.at.tolist()) == (("v",), ("b",), [2])


def test_interactions_older_than_the_maximum_age_are_removed() -> None:
    window = InteractionWindow(100, 100, 100, age=10)
    for at in (0, 95, 100):
        window.add(touch("u", "a", at))

    assert window.columns().at.tolist() == [95, 100]


def test_confidence_is_the_logarithm_of_the_sum_of_decayed_weights() -> None:
    window = InteractionWindow(100, 100, 100)
    for at in (0, 10):
        window.add(touch("u", "a", at, weight=2.0))
    window.add(touch("v", "b", 10))
    matrix = window.columns().confidence(now=10, half_life=10).toarray()

    assert matrix == pytest.approx(np.array([[2.0, 0.0], [0.0, 1.0]]))  # log2(1 + 1 + 2) = 2
