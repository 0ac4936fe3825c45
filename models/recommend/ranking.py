"""The best rows of a score vector, and measures of a ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def top_rows(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the rows of the ``k`` highest scores, best first.

    Rows with equal scores are in the order of their row numbers. Rows whose score is minus infinity are left out.

    Parameters
    ----------
    scores
        float32 of shape ``(rows,)``.
    k
        Maximum number of rows to return, at least 1.

    Examples
    --------
    >>> top_rows(np.array([1, 3, -np.inf, 3, 2], np.float32), 4).tolist()
    [1, 3, 4, 0]
    """
    if k < len(scores):
        # Sort all rows that tie with the k-th row, because the partition may select any of them.
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    candidates = candidates[np.isfinite(scores[candidates])]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


def recall_and_ndcg(hits: Sequence[bool], wanted: int, k: int) -> tuple[float, float]:
    """Return Recall@k and NDCG@k of one user's ranking.

    Parameters
    ----------
    hits
        Whether each item of the ranking, best first, was wanted. The first ``k`` count.
    wanted
        Number of items that the user wanted, at least 1.
    k
        Length of the list.

    Returns
    -------
    tuple of float
        Hits divided by wanted items, and discounted gain divided by the gain of the best possible ranking; 0 to 1.

    Examples
    --------
    >>> recall_and_ndcg([False, True, False], 2, 3)
    (0.5, 0.38...)
    """
    marks = np.asarray(hits[:k], np.float64)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gain = float(marks @ discounts[: len(marks)])
    return float(marks.sum()) / wanted, gain / float(discounts[:wanted].sum())
