"""Churn: who will not come back within the horizon, learned online from labels that arrive late.

A running scaler and a logistic regression, both river's, one example at a time. Recency bends twice (hinges), which a
plain linear model cannot. AdaGrad gives every input a step of its own, so rare features learn as fast as common ones.
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
from models.learning.examples import ChurnExample, require_features
from models.learning.prequential import Grades, Prequential
from models.learning.publication import Publication
from models.learning.scaling import Moments, make_scaler, scale, take_moments
from models.learning.sealed import seal, unseal

NAME = "churn"
SCHEMA = 1
EVERY = 200
"""Examples from one version to the next."""
FIRST = 200
"""Examples before the first version."""
RATE, DECAY, INTERCEPT_RATE = 0.05, 0.02, 0.03
"""AdaGrad's step, weight decay (l2), and the intercept's constant step, which lets it follow a drifting base rate."""
PRIOR = {"days_since_last": 1.0}
"""Weights that learning begins with, 0 elsewhere: who knows nothing yet says what recency alone says."""
KNOTS = {"days_since_last": (3.0, 8.0)}
"""Where features bend: days, of features that enter as ``log1p`` of days."""


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


class ChurnLearner:
    """Learns from labelled examples in their order, and publishes a version at exact counts of them.

    Parameters
    ----------
    features
        Names, in the order of a row.
    every, first
        Examples between versions, and before the first one. A version's content follows from the examples alone,
        however they were cut into batches.

    Attributes
    ----------
    examples
        Learned so far.
    newest
        The newest version, ``None`` before the first.

    Examples
    --------
    >>> learner = ChurnLearner(("days_since_last", "orders"), every=2, first=4)
    >>> from models.learning.examples import fingerprint
    >>> schema = fingerprint(learner.features)
    >>> for days, churned in [(3.0, True), (0.5, False), (2.8, True), (0.2, False)] * 25:
    ...     example = ChurnExample(user="u", at=0, due=1, schema=schema, row=[days, 1.0], churned=churned)
    ...     version = learner.learn(example)
    >>> learner.newest.version
    49
    >>> [round(learner.scorer().score([days, 1.0]), 2) for days in (0.3, 2.9)]
    [0.06, 0.94]
    """

    def __init__(self, features: Sequence[str], *, every: int = EVERY, first: int = FIRST) -> None:
        self.features = tuple(features)
        self.every = every
        self.first = first
        self.examples = 0
        self.newest: Publication | None = None
        self._hinges = tuple(
            Hinge(i, log1p(days)) for i, name in enumerate(self.features) for days in KNOTS.get(name, ())
        )
        self._bends = tuple((hinge.feature, hinge.knot) for hinge in self._hinges)
        self._inputs = self.features + tuple(f"{self.features[h.feature]}>{h.knot:.6g}" for h in self._hinges)
        self._churned = 0
        self._grades = Prequential()
        self._scaler = StandardScaler()
        self._model = _make_model({name: PRIOR.get(name, 0.0) for name in self._inputs})

    def learn(self, example: ChurnExample) -> Publication | None:
        """Grade what was issued, then learn.

        Returns
        -------
        Publication or None
            The version that this very example completed.

        Raises
        ------
        InvalidEvent
            ``other_features``: its row was made with other features; nothing was learned.
        """
        require_features(example, self.features)
        self._grades.grade(example.risk, example.churned)
        inputs = self._named(example.row)
        self._scaler.learn_one(inputs)
        self._model.learn_one(scale(self._scaler, inputs), example.churned)
        self.examples += 1
        self._churned += example.churned
        one_class = self._churned in (0, self.examples)
        if self.examples < self.first or (self.examples - self.first) % self.every or one_class:
            return None
        self.newest = Publication(1 if self.newest is None else self.newest.version + 1, self.scorer().encode())
        return self.newest

    def predict(self, row: Sequence[float]) -> float:
        """Probability by river's own model; contract tests hold the scorer against it."""
        risks = self._model.predict_proba_one(scale(self._scaler, self._named(row)))
        return float(risks[True])

    def scorer(self) -> ChurnScorer:
        """Plain numbers of the model as it is now."""
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
        """Figures of the issued probabilities, see :meth:`Prequential.figures`."""
        return self._grades.figures()

    def state(self) -> bytes:
        """Everything, as plain numbers behind a checksum."""
        optimizer, weights = self._model.optimizer, self._model.weights
        return seal(
            _State(
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
            ),
            SCHEMA,
        )

    def restore(self, data: bytes) -> None:
        """Go on where :meth:`state` was taken.

        Where this code has other features, what was learned is of no use: learning starts anew, and versions go on
        counting, since the fold ignores lower ones.

        Raises
        ------
        StateMismatch, StateDamaged
            The bytes cannot be read.
        """
        state = unseal(data, _State, SCHEMA, "churn learner")
        self.newest = state.newest
        if state.features != self.features or state.hinges != self._hinges:
            return
        self.examples, self._churned = state.examples, state.churned
        self._grades = Prequential.load(state.grades)
        self._scaler = make_scaler(state.moments, self._inputs)
        self._model = _make_model({name: PRIOR.get(name, 0.0) for name in self._inputs})
        if state.steps:
            # River's own way to set weights is an initializer a name, which leaves the optimizer's memory empty.
            self._model._weights = VectorDict(dict(zip(self._inputs, state.weights, strict=True)))
        self._model.intercept = state.intercept
        self._model.optimizer.g2.update(zip(self._inputs, state.squares, strict=True))
        self._model.optimizer.n_iterations = state.steps

    def _named(self, row: Sequence[float]) -> dict[str, float]:
        return dict(zip(self._inputs, bend(row, self._bends), strict=True))


def _make_model(weights: Mapping[str, float]) -> Any:
    model = LogisticRegression(AdaGrad(RATE), l2=DECAY, intercept_lr=INTERCEPT_RATE)
    # River's own way to begin with weights, an initializer, does not know the names of what it initializes.
    model._weights = VectorDict(dict(weights))
    return model
