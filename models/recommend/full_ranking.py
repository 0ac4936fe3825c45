"""Recall and NDCG of full rankings, as publications on implicit feedback report them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

USERS_AT_ONCE = 512
"""Number of users whose scores are in memory at the same time."""


def recall_and_ndcg_at(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    train: csr_array,
    test: csr_array,
    k: int = 20,
) -> tuple[float, float]:
    """Return mean Recall@k and NDCG@k over the users who have items in the test set.

    Parameters
    ----------
    users, items
        Factors, of shape ``(users, dimensions)`` and ``(items, dimensions)``.
    train
        Known pairs, of shape ``(users, items)``; they are never ranked.
    test
        Pairs to be found, of the same shape.
    k
        Length of the ranking.

    Returns
    -------
    tuple of float
        Recall and NDCG, 0 to 1.

    References
    ----------
    X. He and others, "LightGCN", SIGIR 2020 (arXiv:2002.02126); results on that paper's splits are measured this way.

    Examples
    --------
    >>> train = csr_array(np.array([[1, 0, 0], [0, 1, 0]]))
    >>> test = csr_array(np.array([[0, 1, 0], [0, 0, 0]]))
    >>> recall_and_ndcg_at(np.eye(2, dtype=np.float32), np.ones((3, 2), np.float32), train, test, k=1)
    (1.0, 1.0)
    """
    k = min(k, items.shape[0])
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)
    wanted = np.diff(test.indptr)
    graded = np.flatnonzero(wanted)
    recall = ndcg = 0.0
    for start in range(0, len(graded), USERS_AT_ONCE):
        rows = graded[start : start + USERS_AT_ONCE]
        scores = users[rows] @ items.T
        seen = train[rows]
        scores[np.repeat(np.arange(len(rows)), np.diff(seen.indptr)), seen.indices] = -np.inf
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        hits = np.zeros(scores.shape, np.bool_)
        looked_for = test[rows]
        hits[np.repeat(np.arange(len(rows)), np.diff(looked_for.indptr)), looked_for.indices] = True
        found = np.take_along_axis(hits, best, axis=1)
        recall += float((found.sum(axis=1) / wanted[rows]).sum())
        ndcg += float(((found * discounts).sum(axis=1) / ideal[np.minimum(wanted[rows], k) - 1]).sum())
    return recall / len(graded), ndcg / len(graded)
