"""Measures of issued probabilities: ranking, sharpness and calibration, each a plain function of two sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

_Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval.

    Attributes
    ----------
    value
        The estimate.
    low, high
        Lower and upper bound.
    """

    value: float
    low: float
    high: float


def auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Return the probability that a random positive is ranked above a random negative; ties count half.

    Parameters
    ----------
    scores
        Scores, higher for the positive class, shape ``(n,)``.
    labels
        True for the positive class, shape ``(n,)``.

    Returns
    -------
    float or None
        0 to 1; ``None`` if one of the classes is missing.

    Examples
    --------
    >>> auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    >>> auc([0.5, 0.5], [True, False])
    0.5
    """
    positive = np.asarray(labels, dtype=bool)
    n1 = int(positive.sum())
    n0 = positive.size - n1
    if n1 == 0 or n0 == 0:
        return None
    ranks = rankdata(np.asarray(scores, dtype=np.float64))
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def auc_difference(first: ArrayLike, second: ArrayLike, labels: ArrayLike, level: float = 0.95) -> Interval | None:
    """Return the AUC of the first scores minus the AUC of the second, with DeLong's paired interval.

    The interval assumes independent rows. If one user gives many rows, the true interval is somewhat wider. Then use
    :func:`bootstrap`, which can draw whole users.

    Parameters
    ----------
    first, second
        Two scores of the same rows, shape ``(n,)``.
    labels
        True for the positive class, shape ``(n,)``.
    level
        Confidence, 0 to 1.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988); the fast form of X. Sun and W. Xu, IEEE
    Signal Processing Letters 21 (2014).

    Examples
    --------
    >>> auc_difference([1, 2, 3, 4], [1, 2, 3, 4], [False, True, False, True])
    Interval(value=0.0, low=0.0, high=0.0)
    """
    a, b = auc(first, labels), auc(second, labels)
    if a is None or b is None:
        return None
    positive = np.asarray(labels, dtype=bool)
    above1, below1 = _placements(np.asarray(first, dtype=np.float64), positive)
    above2, below2 = _placements(np.asarray(second, dtype=np.float64), positive)
    variance = _variance(above1 - above2) / above1.size + _variance(below1 - below2) / below1.size
    half = float(norm.ppf(0.5 + level / 2)) * variance**0.5
    return Interval(a - b, a - b - half, a - b + half)


def bootstrap(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    seed: int = 0,
    rounds: int = 200,
    level: float = 0.95,
) -> Interval | None:
    """Return the AUC with a percentile bootstrap interval.

    Parameters
    ----------
    scores, labels
        See :func:`auc`.
    groups
        Group of each row, such as its user. Whole groups are drawn, so the rows of one user stay together. By default
        each row is its own group.
    seed
        Seed of the generator.
    rounds
        Number of draws.
    level
        Confidence, 0 to 1.

    Examples
    --------
    >>> [round(x, 3) for x in bootstrap([0.1, 0.4, 0.35, 0.8] * 20, [False, False, True, True] * 20, seed=1)]
    [0.75, 0.626, 0.85]
    """
    value = auc(scores, labels)
    if value is None:
        return None
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    number: dict[object, int] = {}
    of = [number.setdefault(group, len(number)) for group in (groups if groups is not None else range(s.size))]
    order = np.argsort(of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(of))[:-1])
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        rows = np.concatenate([members[i] for i in generator.integers(0, len(members), len(members))])
        again = auc(s[rows], y[rows])
        if again is not None:
            drawn.append(again)
    if not drawn:
        return None
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value, float(low), float(high))


def brier(risks: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score: the mean squared distance of probabilities from the labels.

    0 is perfect; a constant probability of one half gives 0.25.

    Examples
    --------
    >>> round(brier([0.9, 0.2], [True, False]), 3)
    0.025
    """
    p, y = np.asarray(risks, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    return float(np.mean((p - y) ** 2))


def log_loss(risks: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean negative log-likelihood in nats; probabilities are kept 1e-9 away from 0 and 1.

    Examples
    --------
    >>> round(log_loss([0.9, 0.2], [True, False]), 4)
    0.1643
    """
    p = np.clip(np.asarray(risks, dtype=np.float64), 1e-9, 1 - 1e-9)
    y = np.asarray(labels, dtype=bool)
    return float(-np.mean(np.where(y, np.log(p), np.log1p(-p))))


def calibration_error(risks: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error (M. P. Naeini and others, AAAI 2015).

    The bins have equal width. Each bin has a distance between its mean probability and its share of positives. The
    result is the mean of these distances, weighted by the bins' numbers of rows.

    Examples
    --------
    >>> round(calibration_error([0.25, 0.25, 0.25, 0.25], [True, False, False, False]), 3)
    0.0
    >>> round(calibration_error([0.9, 0.9], [True, False]), 3)
    0.4
    """
    p, y = np.asarray(risks, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    of = np.minimum((p * bins).astype(np.int64), bins - 1)
    predicted, happened = np.bincount(of, p, bins), np.bincount(of, y, bins)
    return float(np.abs(predicted - happened).sum() / p.size)


def _placements(scores: _Floats, positive: NDArray[np.bool_]) -> tuple[_Floats, _Floats]:
    # For each positive, the share of negatives ranked below it; for each negative, the share of positives above it.
    up, down = scores[positive], scores[~positive]
    ranks = rankdata(np.concatenate([up, down]))
    above = (ranks[: up.size] - rankdata(up)) / down.size
    below = 1.0 - (ranks[up.size :] - rankdata(down)) / up.size
    return above, below


def _variance(values: _Floats) -> float:
    return float(values.var(ddof=1)) if values.size > 1 else 0.0
