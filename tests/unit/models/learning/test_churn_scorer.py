from __future__ import annotations

import random
import timeit
from math import exp

import numpy as np
import pytest

from models.learning.churn_scorer import ChurnScorer, ChurnWeights, Hinge
from models.profile.features import FEATURES


def _scorer(count: int = len(FEATURES), seed: int = 0) -> ChurnScorer:
    chance = random.Random(seed)
    hinges = (Hinge(0, 1.4), Hinge(0, 2.2))
    inputs = range(count + len(hinges))
    return ChurnScorer(
        ChurnWeights(
            features=FEATURES[:count],
            hinges=hinges,
            mean=tuple(chance.uniform(0, 3) for _ in inputs),
            std=tuple(chance.uniform(0.3, 2) for _ in inputs),
            weights=tuple(chance.gauss(0, 1) for _ in inputs),
            intercept=0.3,
        )
    )


def test_contributions_add_up_to_the_log_odds() -> None:
    scorer, chance = _scorer(), random.Random(1)
    row = [chance.uniform(0, 6) for _ in FEATURES]
    base = scorer.model.intercept
    assert scorer.predict_one(row) == pytest.approx(
        1.0 / (1.0 + exp(-base - sum(scorer.contributions(row)))), abs=1e-12
    )


def test_extreme_rows_still_get_a_probability() -> None:
    scorer = _scorer()
    for value in (-1e6, -50.0, 50.0, 1e6):
        assert 0.0 <= scorer.predict_one([value] * len(FEATURES)) <= 1.0


def test_reasons_are_the_features_that_raise_the_risk_strongest_first() -> None:
    scorer = ChurnScorer(
        ChurnWeights(
            features=("days_since_last", "refund_share", "orders", "shoe_size"),
            hinges=(Hinge(0, 2.0),),
            mean=(1.0, 0.1, 1.0, 0.0, 0.0),
            std=(1.0, 0.5, 1.0, 1.0, 1.0),
            weights=(0.5, 1.0, -2.0, 1.0, 3.0),
            intercept=0.0,
        )
    )
    assert scorer.reasons([3.0, 0.5, 3.0, 0.1]) == (
        "no visit for 19 days",
        "50% of orders refunded",
        "shoe size is high",
    )
    assert scorer.reasons([3.0, 0.5, 3.0, 0.1], most=1) == ("no visit for 19 days",)
    assert scorer.reasons([0.0, 0.0, 5.0, -1.0]) == ()
    # A contribution below MIN_LOG_ODDS is not given as a reason.
    assert scorer.reasons([1.04, 0.1, 1.0, 0.0]) == ()


def test_a_score_takes_microseconds() -> None:
    scorer, chance = _scorer(), random.Random(2)
    row = [chance.uniform(0, 6) for _ in FEATURES]
    fastest = min(timeit.repeat(lambda: scorer.predict_one(row), number=1_000, repeat=20)) / 1_000
    # Measured: 1.5 microseconds. The limit leaves room for slow and busy machines.
    assert fastest < 25e-6


def test_many_rows_by_column_have_the_bits_of_single_rows() -> None:
    chance = random.Random(3)
    inputs = len(FEATURES) + 2
    mean, std, weights = (tuple(chance.uniform(0.1, 2) for _ in range(inputs)) for _ in range(3))
    hinges = (Hinge(0, 1.0), Hinge(3, 2.5))
    scorer = ChurnScorer(
        ChurnWeights(features=FEATURES, hinges=hinges, mean=mean, std=std, weights=weights, intercept=-9.0)
    )
    rows = [[chance.uniform(0, 6) for _ in FEATURES] for _ in range(300)]

    assert scorer.predict(np.array(rows).T).tolist() == [scorer.predict_one(row) for row in rows]
