"""How well a model would have served: it ranks, as in serving, what users had not met before a cut in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.recommend.model import FactorModel
from models.recommend.ranking import recall_and_ndcg, top_rows
from models.recommend.recommender import Recommender
from models.recommend.retraining_report import Grade
from models.recommend.window import Columns

AT = 10
"""Length of the graded list."""
RECENT = 30
"""So many of a user's newest touches are known when serving (``models.profile.state.Facts.recent``)."""


class Met(NamedTuple):
    """One touch of a user."""

    item: str
    weight: float
    at: int


@dataclass(frozen=True, slots=True)
class Case:
    """One user of the held-out tail.

    Attributes
    ----------
    recent
        The newest touches before the cut.
    met
        Every item met before the cut: no candidate.
    wanted
        Items met after the cut for the first time, all known before it; at least one.
    """

    recent: Sequence[Met]
    met: frozenset[str]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What each case got; arrays of float64, one number a case."""

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]

    @property
    def grade(self) -> Grade:
        """Means."""
        return Grade(recall_at_10=float(self.recall.mean()), ndcg_at_10=float(self.ndcg.mean()), users=len(self.recall))


def cases_of(history: Columns, tail: Columns, *, most: int, seed: int) -> list[Case]:
    """Cases of everybody who is known before the cut and met something new after it.

    Parameters
    ----------
    history, tail
        Before and after the cut, each in the order of time, with the same ids.
    most
        How many cases at most; a seeded sample where there are more.
    seed
        Of that sample.
    """
    known = np.zeros(len(history.item_ids), np.bool_)
    known[history.items] = True
    before, after = _by_user(history), _by_user(tail)
    chosen = np.intersect1d(np.unique(history.users), np.unique(tail.users))
    np.random.default_rng(seed).shuffle(chosen)
    cases: list[Case] = []
    for user in chosen.tolist():
        rows = before[user]
        met = np.unique(history.items[rows])
        later = np.unique(tail.items[after[user]])
        wanted = np.setdiff1d(later[known[later]], met)
        if len(wanted):
            name = history.item_ids
            newest = rows[-RECENT:]
            touches = zip(history.items[newest], history.weights[newest], history.at[newest], strict=True)
            recent = [Met(name[item], float(weight), int(at)) for item, weight, at in touches]
            cases.append(Case(recent, frozenset(name[i] for i in met), frozenset(name[i] for i in wanted)))
            if len(cases) == most:
                break
    return cases


def grade_model(model: FactorModel, cases: Sequence[Case], now: int) -> Scores:
    """Grade a model as it would serve at ``now``, milliseconds."""
    recommender = Recommender(model)
    return _grade(
        [[each.item for each in recommender.recommend(case.recent, now=now, k=AT, exclude=case.met)] for case in cases],
        cases,
    )


def grade_popularity(items: Sequence[str], popularity: NDArray[np.float32], cases: Sequence[Case]) -> Scores:
    """Grade a popularity on the same candidates: what everybody would get without knowing anybody."""
    rows = {item: row for row, item in enumerate(items)}
    ranked = []
    for case in cases:
        scores = popularity.copy()
        scores[[rows[item] for item in case.met if item in rows]] = -np.inf
        ranked.append([items[row] for row in top_rows(scores, AT)])
    return _grade(ranked, cases)


def _grade(ranked: Sequence[Sequence[str]], cases: Sequence[Case]) -> Scores:
    pairs = np.array(list(_pairs(ranked, cases)), np.float64).reshape(-1, 2)
    return Scores(pairs[:, 0], pairs[:, 1])


def _pairs(ranked: Sequence[Sequence[str]], cases: Sequence[Case]) -> Iterator[tuple[float, float]]:
    for items, case in zip(ranked, cases, strict=True):
        yield recall_and_ndcg([item in case.wanted for item in items], len(case.wanted), AT)


def _by_user(columns: Columns) -> dict[int, NDArray[np.intp]]:
    """Rows of each user, in the order of time."""
    order = np.argsort(columns.users, kind="stable")
    users, starts = np.unique(columns.users[order], return_index=True)
    return dict(zip(users.tolist(), np.split(order, starts[1:]), strict=True))
