"""The weight of an interaction; it is the same in training and in serving."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

MIN_DECAY = 2.0**-10
"""Minimum share of its weight that an interaction keeps, so that it still counts for a user who returns after years."""


@overload
def decay(age: float, half_life: float) -> float: ...
@overload
def decay(age: NDArray[np.int64], half_life: float) -> NDArray[np.float64]: ...
def decay(age: float | NDArray[np.int64], half_life: float) -> float | NDArray[np.float64]:
    """Return the share of a weight that is left after ``age``; age and half-life are in milliseconds.

    A half-life of 0 keeps everything. The result is between ``MIN_DECAY`` and 1.

    Examples
    --------
    >>> [decay(age, 10) for age in (-5, 0, 10, 20, 10_000)]
    [1.0, 1.0, 0.5, 0.25, 0.0009765625]
    """
    if isinstance(age, np.ndarray):
        if half_life <= 0:
            return np.ones(len(age))
        faded: NDArray[np.float64] = np.maximum(np.exp2(-np.maximum(age, 0) / half_life), MIN_DECAY)
        return faded
    if half_life <= 0 or age <= 0:
        return 1.0
    return max(2.0 ** (-age / half_life), MIN_DECAY) if age < 10 * half_life else MIN_DECAY


def confidence_of(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the confidence that a user likes an item, from the sum of the decayed weights of their interactions.

    The confidence grows with the logarithm of the sum, because the tenth view of a page says less than the first.

    Parameters
    ----------
    weights
        Sums of weights, at least 0, of any shape.

    Examples
    --------
    >>> confidence_of(np.array([0.0, 1.0, 3.0, 7.0])).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    return np.log2(1.0 + weights).astype(np.float32)


def ridge_of(mass: float, others: int, unobserved: float, regularization: float, exponent: float) -> float:
    """Return the regularization of one user's factors; it grows with the sum of the user's confidences.

    For the factors of an item, exchange the words user and item.

    Parameters
    ----------
    mass
        Sum of the confidences of the user's items.
    others
        Number of all items.
    unobserved, regularization, exponent
        See :class:`models.recommend.model.Hyperparameters`.

    Examples
    --------
    >>> ridge_of(10.0, 100, 0.1, 0.5, 1.0)
    10.0
    """
    return float(regularization * (mass + unobserved * others) ** exponent)
