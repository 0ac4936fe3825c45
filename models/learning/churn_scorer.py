"""The published form of the churn model: plain numbers that score one row, or many rows by column."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

import msgspec
import numpy as np

from models.exact_math import Floats, exp, exp_of
from models.learning.learner import JsonScorer, ModelContent
from models.learning.phrases import describe

SCHEMA = 1
MAX_REASONS = 3
"""Maximum number of reasons that are given for a score."""
MIN_LOG_ODDS = 0.05
"""Minimum contribution of a feature to be given as a reason, log-odds."""


class Hinge(msgspec.Struct, array_like=True, frozen=True):
    """An input ``max(0, feature - knot)``: it lets a linear model change its slope at the knot.

    Attributes
    ----------
    feature
        Position in the row.
    knot
        Value of the feature at which the slope changes, in the scale of the feature.
    """

    feature: int
    knot: float


class ChurnWeights(ModelContent, frozen=True, kw_only=True):
    """Content of the control record ``use churn@VERSION``.

    The model's inputs are the features of a row, then the hinges. Below, ``inputs`` is their number.

    Attributes
    ----------
    schema
        Version of this form.
    features
        Names of a row's values, in the order of the row.
    hinges
        Inputs besides the features.
    mean, std
        Mean and standard deviation of each input, shape ``(inputs,)``. An input whose ``std`` is 0 counts as 0.
    weights
        Weights of the logistic regression on scaled inputs, shape ``(inputs,)``.
    intercept
        Log-odds of a row whose inputs all have their mean value.
    examples
        Number of labelled examples learned so far.
    quality
        Quality of the issued probabilities, see :meth:`models.learning.prequential.Prequential.figures`.
    """

    hinges: tuple[Hinge, ...] = ()
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    examples: int = 0
    quality: dict[str, int | float | None] = msgspec.field(default_factory=dict)


class ChurnScorer(JsonScorer[ChurnWeights]):
    """A scorer of the probability that a user will not come back within the horizon.

    The terms of a row are added up in one fixed order, and the exponential is our own (:mod:`models.exact_math`). So
    the result depends neither on other rows nor on the processor.

    Parameters
    ----------
    model
        The published numbers.

    Examples
    --------
    >>> scorer = ChurnScorer(
    ...     ChurnWeights(features=("days_since_last",), mean=(1.0,), std=(0.5,), weights=(2.0,), intercept=0.0)
    ... )
    >>> round(scorer.predict_one([1.5]), 3)
    0.881
    >>> scorer.reasons([3.0])
    ('no visit for 19 days',)
    """

    SCHEMA = SCHEMA
    LABEL = "churn scorer"
    CONTENT = ChurnWeights

    __slots__ = ("_bent", "_by_input", "_coefficients", "_constant", "_hinges", "_knots", "_scales")

    def __init__(self, model: ChurnWeights) -> None:
        super().__init__(model)
        self._hinges = tuple((hinge.feature, hinge.knot) for hinge in model.hinges)
        self._scales = tuple(1.0 / std if std > 0.0 else 0.0 for std in model.std)
        self._coefficients = tuple(map(mul, model.weights, self._scales))
        self._by_input = np.array(self._coefficients)[:, None]
        self._bent = np.array([feature for feature, _ in self._hinges], dtype=np.intp)
        self._knots = np.array([knot for _, knot in self._hinges])[:, None]
        self._constant = model.intercept - reduce(add, map(mul, self._coefficients, model.mean), 0.0)

    def predict_one(self, row: Sequence[float]) -> float:
        """Return the probability of churn, 0 to 1, of one row in the order of ``features``."""
        logit = reduce(add, map(mul, self._coefficients, bend(row, self._hinges)), self._constant)
        odds = exp(-abs(logit))
        return (1.0 if logit >= 0.0 else odds) / (1.0 + odds)

    def predict(self, columns: Floats) -> Floats:
        """Return the probabilities of churn of many rows, which are those of :meth:`predict_one`.

        Parameters
        ----------
        columns
            A line for each of ``features``, shape ``(features, rows)``.
        """
        bent = np.maximum(columns[self._bent] - self._knots, 0.0)
        products = np.concatenate((columns, bent)) * self._by_input
        products[0] += self._constant
        logit = np.add.accumulate(products, axis=0)[-1]  # unlike a sum, it has one order
        odds = exp_of(-np.abs(logit))
        return np.where(logit >= 0.0, 1.0, odds) / (1.0 + odds)

    def contributions(self, row: Sequence[float]) -> list[float]:
        """Return the contribution of each feature to the log-odds, compared with the population's mean of that feature.

        Returns
        -------
        list of float
            Log-odds, one number for each feature. With the intercept they add up to the log-odds of the row.
        """
        inputs = bend(row, self._hinges)
        moved = [c * (x - m) for c, x, m in zip(self._coefficients, inputs, self.model.mean, strict=True)]
        known = len(self.features)
        for (feature, _), more in zip(self._hinges, moved[known:], strict=True):
            moved[feature] += more
        return moved[:known]

    def reasons(self, row: Sequence[float], most: int = MAX_REASONS) -> tuple[str, ...]:
        """Describe in words the features that raise the risk most, strongest first.

        The list is empty if no feature raises it clearly.
        """
        moved = self.contributions(row)
        raising = sorted((i for i, c in enumerate(moved) if c >= MIN_LOG_ODDS), key=lambda i: (-moved[i], i))
        reasons: list[str] = []
        for i in raising:
            text = describe(self.features[i], row[i], (row[i] - self.model.mean[i]) * self._scales[i])
            if text not in reasons:
                reasons.append(text)
            if len(reasons) == most:
                break
        return tuple(reasons)

    @staticmethod
    def _require_consistent(model: ChurnWeights) -> None:
        inputs = len(model.features) + len(model.hinges)
        if not inputs == len(model.mean) == len(model.std) == len(model.weights):
            raise msgspec.ValidationError("inputs, mean, std and weights differ in length")
        if any(not 0 <= hinge.feature < len(model.features) for hinge in model.hinges):
            raise msgspec.ValidationError("a hinge is on a feature that does not exist")


def bend(row: Sequence[float], hinges: Sequence[tuple[int, float]]) -> list[float]:
    """Return the inputs of the model: the row, then its hinges.

    Examples
    --------
    >>> bend([3.0, 1.0], [(0, 2.0), (1, 2.0)])
    [3.0, 1.0, 1.0, 0.0]
    """
    return [*row, *[x - knot if (x := row[i]) > knot else 0.0 for i, knot in hinges]]
