"""The simulated shop is neither too easy nor too hard, with seeds that nobody tuned for."""

from __future__ import annotations

import random

import pytest

from tests.benchmarks.storefront import measure

SEEDS = random.Random("no favourites").sample(range(10_000), 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_models_beat_what_is_simple_and_stay_below_what_is_true(seed: int) -> None:
    found = measure(seed)

    churn = found.churn
    assert found.events >= 100_000
    assert churn.oracle_auc is not None
    assert churn.auc is not None
    assert churn.recency_auc is not None
    assert 0.80 <= churn.oracle_auc <= 0.92
    assert churn.recency_auc < churn.auc < churn.oracle_auc
    assert found.recall >= 1.5 * found.popular > 0
