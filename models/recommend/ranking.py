"""The best rows of a score vector, and how good a ranking is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_rows(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Rows of the ``k`` highest scores, best first; ties by row; rows at minus infinity are left out.

    Examples
    --------
    >>> top_rows(np.array([1, 3, -np.inf, 3, 2], np.float32), 4).tolist()
    [1, 3, 4, 0]
    """
    if k < len(scores):
        # everything that ties with the k-th is taken into the sort, so that ties do not depend on the partition
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    candidates = candidates[np.isfinite(scores[candidates])]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


def recall_and_ndcg(ranked: NDArray[np.intp], wanted: NDArray[np.intp], k: int) -> tuple[float, float]:
    """Recall@k and NDCG@k of one user's ranking.

    Parameters
    ----------
    ranked
        Items, best first; the first ``k`` count.
    wanted
        What the user went on to touch, at least one, each once.

    Returns
    -------
    tuple
        Hits by number of wanted items, and discounted gain by that of the best ranking possible.

    Examples
    --------
    >>> recall_and_ndcg(np.array([4, 1, 7]), np.array([1, 9]), 3)
    (0.5, 0.38...)
    """
    hits = np.isin(ranked[:k], wanted)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gain = float(discounts[: len(hits)][hits].sum())
    return float(hits.sum()) / len(wanted), gain / float(discounts[: len(wanted)].sum())
