"""The parts of river that the churn model uses although they are not public."""

from __future__ import annotations

from river.linear_model import LogisticRegression
from river.optim import SGD
from river.utils import VectorDict


def test_a_model_predicts_with_the_weights_that_were_put_into_it_and_changes_them() -> None:
    model = LogisticRegression(SGD(0.1), intercept_lr=0.0)
    model._weights = VectorDict({"a": 2.0})

    assert model.weights == {"a": 2.0}
    assert model.predict_proba_one({"a": 1.0})[True] > 0.88
    model.learn_one({"a": 1.0}, True)
    assert 2.0 < model.weights["a"] < 2.02
