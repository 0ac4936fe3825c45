"""Grading of a model on held-out interactions.

The cut is the moment that separates the known interactions from the held-out ones. The model gets a user's interactions
before the cut and recommends items, as it does when it serves. It should find the items of the interactions after the
cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.recommend.interactions import MAX_RECENT_ITEMS
from models.recommend.model import FactorModel
from models.recommend.ranking import recall_and_ndcg, top_rows
from models.recommend.recommender import Recommender
from models.recommend.retraining_report import Grade
from models.recommend.window import Columns

AT = 10
"""Length of the graded list."""


class PastInteraction(NamedTuple):
    """One interaction of a user before the cut; see :class:`models.recommend.recommender.RecentInteraction`."""

    item: str
    weight: float
    at: int


@dataclass(frozen=True, slots=True)
class HeldOutUser:
    """A user whose newest interactions were held out.

    Attributes
    ----------
    recent
        The newest interactions before the cut.
    seen
        All items that the user interacted with before the cut; they are not recommended.
    wanted
        Items that the user first interacted with after the cut, and that the model knows; at least one.
    """

    recent: Sequence[PastInteraction]
    seen: frozenset[str]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Recall and NDCG of each user, float64 of shape ``(users,)``."""

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]

    @property
    def grade(self) -> Grade:
        """Mean grades over the users."""
        return Grade(recall_at_10=float(self.recall.mean()), ndcg_at_10=float(self.ndcg.mean()), users=len(self.recall))


def held_out_users(history: Columns, tail: Columns, *, most: int, seed: int) -> list[HeldOutUser]:
    """Return the users who are known before the cut and interacted with a new item after it.

    Parameters
    ----------
    history, tail
        Interactions before and after the cut, each sorted by time; the two share their ids.
    most
        Maximum number of users; if there are more, a seeded sample is drawn.
    seed
        Seed of that sample.
    """
    known = np.zeros(len(history.item_ids), np.bool_)
    known[history.items] = True
    before, after = _by_user(history), _by_user(tail)
    chosen = np.intersect1d(np.unique(history.users), np.unique(tail.users))
    np.random.default_rng(seed).shuffle(chosen)
    users: list[HeldOutUser] = []
    for user in chosen.tolist():
        rows = before[user]
        seen = np.unique(history.items[rows])
        later = np.unique(tail.items[after[user]])
        wanted = np.setdiff1d(later[known[later]], seen)
        if len(wanted):
            name = history.item_ids
            newest = rows[-MAX_RECENT_ITEMS:]
            newest_rows = zip(history.items[newest], history.weights[newest], history.at[newest], strict=True)
            recent = [PastInteraction(name[item], float(weight), int(at)) for item, weight, at in newest_rows]
            users.append(HeldOutUser(recent, frozenset(name[i] for i in seen), frozenset(name[i] for i in wanted)))
            if len(users) == most:
                break
    return users


def grade_model(model: FactorModel, users: Sequence[HeldOutUser], now: int) -> Scores:
    """Grade the recommendations that a model would give at ``now``, milliseconds since the epoch."""
    recommender = Recommender(model)
    return _grade(
        [
            [each.item for each in recommender.recommend(user.recent, now=now, k=AT, exclude=user.seen)]
            for user in users
        ],
        users,
    )


def grade_popularity(items: Sequence[str], popularity: NDArray[np.float32], users: Sequence[HeldOutUser]) -> Scores:
    """Grade the recommendation of the most popular items to every user, on the same candidates as a model."""
    rows = {item: row for row, item in enumerate(items)}
    ranked = []
    for user in users:
        scores = popularity.copy()
        scores[[rows[item] for item in user.seen if item in rows]] = -np.inf
        ranked.append([items[row] for row in top_rows(scores, AT)])
    return _grade(ranked, users)


def _grade(ranked: Sequence[Sequence[str]], users: Sequence[HeldOutUser]) -> Scores:
    pairs = np.array(list(_pairs(ranked, users)), np.float64).reshape(-1, 2)
    return Scores(pairs[:, 0], pairs[:, 1])


def _pairs(ranked: Sequence[Sequence[str]], users: Sequence[HeldOutUser]) -> Iterator[tuple[float, float]]:
    for items, user in zip(ranked, users, strict=True):
        yield recall_and_ndcg([item in user.wanted for item in items], len(user.wanted), AT)


def _by_user(columns: Columns) -> dict[int, NDArray[np.intp]]:
    """Return the rows of each user, in the order of time."""
    order = np.argsort(columns.users, kind="stable")
    users, starts = np.unique(columns.users[order], return_index=True)
    return dict(zip(users.tolist(), np.split(order, starts[1:]), strict=True))
