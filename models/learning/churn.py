"""The churn model: it predicts which users will not return within the horizon, and learns online from late labels.

The model has two parts, both from river: a running scaler and a logistic regression. Both are trained on one example at
a time. Recency has two hinges, because its effect is not linear. AdaGrad gives every input a separate step size, so
rare features learn as fast as common ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log1p
from typing import Any

import msgspec
from river.linear_model import LogisticRegression
from river.optim import AdaGrad
from river.preprocessing import StandardScaler
from river.utils import VectorDict

from models.learning.churn_scorer import ChurnScorer, ChurnWeights, Hinge, bend
from models.learning.examples import ChurnExample
from models.learning.learner import VersionedLearner
from models.learning.prequential import Grades, Prequential
from models.learning.publication import Publication
from models.learning.scaling import Moments, make_scaler, scale, take_moments

NAME = "churn"
SCHEMA = 1
EVERY = 200
"""Number of examples between two versions."""
FIRST = 200
"""Number of examples before the first version."""
RATE, DECAY, INTERCEPT_RATE = 0.05, 0.02, 0.03
"""AdaGrad's step size, weight decay (l2), and the intercept's constant step size.

The intercept's step does not shrink, so the intercept can follow a base rate that drifts.
"""
PRIOR = {"days_since_last": 1.0}
"""Weights before the first example. All other inputs start at 0, so an untrained model uses recency alone."""
KNOTS = {"days_since_last": (3.0, 8.0)}
"""Knots of the hinges, in days; the features enter the model as ``log1p`` of days."""


class _State(msgspec.Struct, array_like=True):
    features: tuple[str, ...]
    hinges: tuple[Hinge, ...]
    examples: int
    churned: int
    moments: Moments
    weights: tuple[float, ...]
    squares: tuple[float, ...]
    steps: int
    intercept: float
    grades: Grades
    newest: Publication | None


class ChurnLearner(VersionedLearner[ChurnExample, _State]):
    """A logistic regression that learns from labelled examples in their order.

    It publishes a version at exact counts of examples. The first version needs examples of both classes.

    Parameters
    ----------
    features
        Names of a row's values, in the order of the row.
    every
        Number of examples between two versions, at least 1.
    first
        Number of examples before the first version, at least 1.

    Attributes
    ----------
    examples
        Number of examples learned so far.
    newest
        The newest version, or ``None`` before the first.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011).

    Examples
    --------
    >>> learner = ChurnLearner(("days_since_last", "orders"), every=2, first=4)
    >>> from models.learning.examples import fingerprint
    >>> schema = fingerprint(learner.features)
    >>> for days, churned in [(3.0, True), (0.5, False), (2.8, True), (0.2, False)] * 25:
    ...     example = ChurnExample(user="u", at=0, due=1, schema=schema, row=[days, 1.0], churned=churned)
    ...     version = learner.learn_one(example)
    >>> learner
    ChurnLearner(<2 features>, every=2, first=4, examples=100, version=49)
    >>> [round(learner.scorer().predict_one([days, 1.0]), 2) for days in (0.3, 2.9)]
    [0.06, 0.94]
    """

    SCHEMA = SCHEMA
    LABEL = "churn learner"
    STATE = _State

    def __init__(self, features: Sequence[str], *, every: int = EVERY, first: int = FIRST) -> None:
        super().__init__(features, every=every, first=first)
        self._hinges = tuple(
            Hinge(i, log1p(days)) for i, name in enumerate(self.features) for days in KNOTS.get(name, ())
        )
        self._bends = tuple((hinge.feature, hinge.knot) for hinge in self._hinges)
        self._inputs = self.features + tuple(f"{self.features[h.feature]}>{h.knot:.6g}" for h in self._hinges)
        self._churned = 0
        self._grades = Prequential()
        self._scaler = StandardScaler()
        self._model = _make_model({name: PRIOR.get(name, 0.0) for name in self._inputs})

    def predict_one(self, row: Sequence[float]) -> float:
        """Return the probability of churn from river's model, 0 to 1."""
        risks = self._model.predict_proba_one(scale(self._scaler, self._named(row)))
        return float(risks[True])

    def scorer(self) -> ChurnScorer:
        """Return the plain numbers of the model as it is now."""
        moments = take_moments(self._scaler, self._inputs)
        weights = self._model.weights
        return ChurnScorer(
            ChurnWeights(
                features=self.features,
                hinges=self._hinges,
                mean=moments.mean,
                std=moments.std,
                weights=tuple(float(weights.get(name, 0.0)) for name in self._inputs),
                intercept=float(self._model.intercept),
                examples=self.examples,
                quality=self.quality(),
            )
        )

    def quality(self) -> dict[str, int | float | None]:
        """Return the quality of the issued probabilities, see :meth:`Prequential.figures`."""
        return self._grades.figures()

    def _learn(self, example: ChurnExample) -> None:
        # Grade first, because a grade judges the probability that was issued before the label was known.
        self._grades.grade(example.risk, example.churned)
        inputs = self._named(example.row)
        self._scaler.learn_one(inputs)
        self._model.learn_one(scale(self._scaler, inputs), example.churned)
        self._churned += example.churned

    def _can_publish(self) -> bool:
        return self._churned not in (0, self.examples)

    def _save(self) -> _State:
        optimizer, weights = self._model.optimizer, self._model.weights
        return _State(
            features=self.features,
            hinges=self._hinges,
            examples=self.examples,
            churned=self._churned,
            moments=take_moments(self._scaler, self._inputs),
            weights=tuple(float(weights.get(name, 0.0)) for name in self._inputs),
            squares=tuple(float(optimizer.g2[name]) for name in self._inputs),
            steps=optimizer.n_iterations,
            intercept=float(self._model.intercept),
            grades=self._grades.dump(),
            newest=self.newest,
        )

    def _is_own(self, state: _State) -> bool:
        return (state.features, state.hinges) == (self.features, self._hinges)

    def _load(self, state: _State) -> None:
        self._churned = state.churned
        self._grades = Prequential.load(state.grades)
        self._scaler = make_scaler(state.moments, self._inputs)
        weights = state.weights if state.steps else [PRIOR.get(name, 0.0) for name in self._inputs]
        self._model = _make_model(dict(zip(self._inputs, weights, strict=True)))
        self._model.intercept = state.intercept
        self._model.optimizer.g2.update(zip(self._inputs, state.squares, strict=True))
        self._model.optimizer.n_iterations = state.steps

    def _named(self, row: Sequence[float]) -> dict[str, float]:
        return dict(zip(self._inputs, bend(row, self._bends), strict=True))


def _make_model(weights: Mapping[str, float]) -> Any:
    model = LogisticRegression(AdaGrad(RATE), l2=DECAY, intercept_lr=INTERCEPT_RATE)
    # River's own initializers do not get the names of the inputs, so the private attribute is set directly.
    # tests/contracts/test_river.py checks that the attribute keeps its meaning.
    model._weights = VectorDict(dict(weights))
    return model
