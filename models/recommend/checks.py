"""Checks with known answers that every recommender must pass, for our recommenders and for yours.

The training data are small matrices whose right answers follow from their construction. (The library ``implicit`` tests
its models in the same way.) A recommender is described by a :class:`RecommenderCase`. Each function in :data:`CHECKS`
takes a case and raises :class:`RecommenderCheckFailed`. With pytest, run all checks on a recommender like this::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_recommender(check):
        check(RecommenderCase("mine", train))

Examples
--------
>>> checkerboard(4).toarray().astype(int).tolist()
[[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
>>> blocks(2, 2).toarray().astype(int).tolist()
[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, Protocol

import numpy as np
from scipy.sparse import csr_array

from models.recommend.catalogue import Catalogue, Item
from models.recommend.recommender import OFFERED, POPULAR, RecentInteraction, Recommendation

__all__ = [
    "CHECKS",
    "RecommenderCase",
    "RecommenderCheckFailed",
    "TrainedRecommender",
    "blocks",
    "check_answers_are_repeatable",
    "check_blocks_are_kept_apart",
    "check_catalogue_limits_the_items",
    "check_held_out_items_of_a_checkerboard_are_found",
    "check_items_are_different_known_and_best_first",
    "check_one_click_counts_at_once",
    "check_reasons_are_true",
    "check_strangers_get_popular_items",
    "check_unwanted_items_are_left_out",
    "checkerboard",
]


class RecommenderCheckFailed(AssertionError):
    """Error for a recommender that breaks a promise; the message names the promise and the finding."""


class TrainedRecommender(Protocol):
    """The part of :class:`models.recommend.recommender.Recommender` that the checks use."""

    def recommend(
        self,
        recent: Sequence[RecentInteraction],
        *,
        now: int,
        k: int = 10,
        exclude: Collection[str] = (),
        exclude_recent: bool = True,
        catalogue: Catalogue | None = None,
    ) -> list[Recommendation]:
        """Return the best items for a user, best first."""


@dataclass(frozen=True)
class RecommenderCase:
    """A recommender, with all values that the checks need.

    Attributes
    ----------
    name
        Name in error messages.
    train
        Trains on confidences, float32 of shape ``(users, items)``. The same matrix gives the same recommender. The id
        of item ``i`` is ``str(i)``, and its popularity is the sum of its column.
    """

    name: str
    train: Callable[[csr_array], TrainedRecommender]


class _Click(NamedTuple):
    item: str
    weight: float = 1.0
    at: int = 0


def checkerboard(size: int) -> csr_array:
    """Make a matrix in which user ``i`` likes all items of the same parity as ``i``, except item ``i``.

    Item ``i`` is the right answer for user ``i``, because everyone else with the same taste likes it.

    Parameters
    ----------
    size
        Number of users and of items.

    Returns
    -------
    csr_array
        float32 of shape ``(size, size)``.
    """
    users, items = np.indices((size, size))
    likes = ((users + items) % 2 == 0).astype(np.float32)
    np.fill_diagonal(likes, 0)
    return csr_array(likes)


def blocks(count: int, size: int) -> csr_array:
    """Make a matrix of groups of users; each group likes a different group of items.

    Parameters
    ----------
    count
        Number of groups.
    size
        Number of users, and of items, in a group.

    Returns
    -------
    csr_array
        float32 of shape ``(count * size, count * size)``.
    """
    return csr_array(np.kron(np.eye(count), np.ones((size, size))).astype(np.float32))


def check_held_out_items_of_a_checkerboard_are_found(case: RecommenderCase) -> None:
    """Check that the best new item of every user is the user's right answer, see :func:`checkerboard`."""
    size = 50
    likes = checkerboard(size)
    recommender = case.train(likes)
    for user in range(size):
        found = _items(recommender, _liked(likes, user), 1)
        _require(found == [str(user)], case, f"user {user} of a checkerboard got {found}; expected: ['{user}']")


def check_blocks_are_kept_apart(case: RecommenderCase) -> None:
    """Check that users who like half of a group's items get the other half before all other items."""
    size = 12
    recommender = case.train(blocks(4, size))
    for group in range(4):
        own = [str(item) for item in range(group * size, (group + 1) * size)]
        found = _items(recommender, own[::2], size // 2)
        _require(
            sorted(found) == sorted(own[1::2]), case, f"a user of group {group} got {found}; expected: {own[1::2]}"
        )


def check_one_click_counts_at_once(case: RecommenderCase) -> None:
    """Check that a stranger gets items of a group after a single click on one of its items."""
    size = 12
    recommender = case.train(blocks(4, size))
    for clicked in (0, 13, 47):
        group = range(clicked // size * size, (clicked // size + 1) * size)
        found = _items(recommender, [str(clicked)], 3)
        is_own = all(int(item) in group for item in found)
        _require(len(found) == 3 and is_own, case, f"after a click on {clicked} a stranger got {found}")


def check_answers_are_repeatable(case: RecommenderCase) -> None:
    """Check that a recommender repeats its answers exactly, also after it is trained again on the same data."""
    likes = _uneven()
    first, second = case.train(likes), case.train(likes)
    for user in range(likes.shape[0]):
        recent = [_Click(item) for item in _liked(likes, user)]
        answers = [one.recommend(recent, now=0, k=10) for one in (first, first, second)]
        _require(answers[0] == answers[1], case, f"it gave user {user} two different answers")
        _require(answers[0] == answers[2], case, f"trained again, it gave user {user} another answer")


def check_items_are_different_known_and_best_first(case: RecommenderCase) -> None:
    """Check that answers hold at most k different known items with finite scores, best first."""
    likes = _uneven()
    recommender = case.train(likes)
    for recent in (_liked(likes, 0), ["unknown"], []):
        for k in (1, 7, 1_000):
            found = recommender.recommend([_Click(item) for item in recent], now=0, k=k)
            ids, scores = [each.item for each in found], [each.score for each in found]
            _require(len(found) <= k, case, f"asked for {k} items it gave {len(found)}")
            _require(len(set(ids)) == len(ids), case, f"an item is twice in {ids}")
            _require(set(ids) <= _ids(likes), case, f"an item of {ids} is unknown")
            _require(all(map(isfinite, scores)), case, f"the scores {scores} are not all finite")
            _require(scores == sorted(scores, reverse=True), case, f"the scores {scores} are not in order")


def check_unwanted_items_are_left_out(case: RecommenderCase) -> None:
    """Check that excluded items never appear, and recent ones only on request."""
    likes = _uneven()
    recommender = case.train(likes)
    recent = [_Click(item) for item in _liked(likes, 0)]
    everything, excluded = likes.shape[1], {"3", "4", "unknown"}
    for known in (recent, []):
        found = {each.item for each in recommender.recommend(known, now=0, k=everything, exclude=excluded)}
        _require(not found & excluded, case, f"it gave the excluded items {sorted(found & excluded)}")
        own = {each.item for each in known}
        _require(not found & own, case, f"it gave the recent items {sorted(found & own)}")
    again = {each.item for each in recommender.recommend(recent, now=0, k=everything, exclude_recent=False)}
    own = {each.item for each in recent}
    _require(own <= again, case, f"with `exclude_recent=False` it left out {sorted(own - again)}")


def check_strangers_get_popular_items(case: RecommenderCase) -> None:
    """Check that users without known items get the most popular items, with popularity as the reason."""
    likes = _uneven()
    recommender = case.train(likes)
    popularity = likes.sum(axis=0)
    for recent in ([], [_Click("unknown")]):
        found = recommender.recommend(recent, now=0, k=5)
        got = [float(popularity[int(each.item)]) for each in found]
        expected = [float(value) for value in sorted(popularity, reverse=True)[:5]]
        _require(got == expected, case, f"a stranger got items with popularity {got}; expected: {expected}")
        reasons = {each.why for each in found}
        _require(reasons == {POPULAR}, case, f"a stranger got the reasons {sorted(reasons)}; expected: {POPULAR!r}")


def check_catalogue_limits_the_items(case: RecommenderCase) -> None:
    """Check that only items for sale appear, and that a change of the catalogue takes effect immediately."""
    likes = _uneven()
    recommender = case.train(likes)
    catalogue = Catalogue()
    for item in ("1", "2", "5", "not known"):
        catalogue.put(Item(id=item, stock=1))
    catalogue.put(Item(id="6", stock=0))
    for recent in ([_Click("0")], []):
        found = {each.item for each in recommender.recommend(recent, now=0, k=100, catalogue=catalogue)}
        _require(found == {"1", "2", "5"}, case, f"it gave {sorted(found)}; for sale: ['1', '2', '5']")
    catalogue.withdraw("2")
    found = {each.item for each in recommender.recommend([_Click("0")], now=0, k=100, catalogue=catalogue)}
    _require(found == {"1", "5"}, case, f"after 2 was withdrawn it gave {sorted(found)}; for sale: ['1', '5']")


def check_reasons_are_true(case: RecommenderCase) -> None:
    """Check that each reason is allowed: a recent item, popularity, or ``OFFERED``."""
    likes = _uneven()
    recommender = case.train(likes)
    for user in range(likes.shape[0]):
        recent = _liked(likes, user)
        allowed = {POPULAR, OFFERED, *(f"because of {item}" for item in recent)}
        reasons = {each.why for each in recommender.recommend([_Click(item) for item in recent], now=0, k=10)}
        _require(reasons <= allowed, case, f"user {user} got the reasons {sorted(reasons - allowed)}")


CHECKS: tuple[Callable[[RecommenderCase], None], ...] = (
    check_held_out_items_of_a_checkerboard_are_found,
    check_blocks_are_kept_apart,
    check_one_click_counts_at_once,
    check_answers_are_repeatable,
    check_items_are_different_known_and_best_first,
    check_unwanted_items_are_left_out,
    check_strangers_get_popular_items,
    check_catalogue_limits_the_items,
    check_reasons_are_true,
)
"""All checks; each takes a :class:`RecommenderCase` and raises :class:`RecommenderCheckFailed`."""


def _uneven() -> csr_array:
    """Make a random matrix of 30 users and 40 items with rows and columns of different sums."""
    random = np.random.default_rng(11)
    likes = random.random((30, 40)) * (random.random((30, 40)) < np.linspace(0.1, 0.6, 40))
    return csr_array(likes.astype(np.float32))


def _liked(likes: csr_array, user: int) -> list[str]:
    return [str(item) for item in likes[[user]].indices]


def _ids(likes: csr_array) -> set[str]:
    return {str(item) for item in range(likes.shape[1])}


def _items(recommender: TrainedRecommender, recent: Sequence[str], k: int) -> list[str]:
    return [each.item for each in recommender.recommend([_Click(item) for item in recent], now=0, k=k)]


def _require(is_kept: bool, case: RecommenderCase, problem: str) -> None:
    if not is_kept:
        raise RecommenderCheckFailed(f"{case.name}: {problem}")
