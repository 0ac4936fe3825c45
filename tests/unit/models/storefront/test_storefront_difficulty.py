"""The simulated shop is neither too easy nor too hard for the models, with seeds that were not used for tuning."""

from __future__ import annotations

import random

import pytest

from tests.benchmarks.storefront import measure

SEEDS = random.Random("no favourites").sample(range(10_000), 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_models_are_between_simple_baselines_and_the_truth(seed: int) -> None:
    found = measure(seed)

    churn = found.churn
    assert found.events >= 100_000
    assert churn.oracle_auc is not None
    assert churn.auc is not None
    assert churn.recency_auc is not None
    assert 0.80 <= churn.oracle_auc <= 0.92
    assert churn.recency_auc < churn.auc < churn.oracle_auc
    assert found.recall >= 1.5 * found.popular > 0
