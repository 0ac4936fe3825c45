"""The computed probability of churn agrees with the simulation."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict

import numpy as np
import pytest

from models.profile.reducers import VISITS
from models.storefront.season import Season
from models.storefront.storefront import Storefront
from models.storefront.truth import Story, Truth, Visited
from models.units import DAY

START = 1_767_571_200_000
HORIZON = 14 * DAY


@pytest.fixture(scope="module", params=[0.0, 0.5])
def questions(request: pytest.FixtureRequest) -> list[tuple[float, bool]]:
    """Computed probability of no visit within the horizon, and the outcome, for each shopper and week.

    In one of the two shops, half of the shoppers with an account begin as anonymous visitors.
    """
    storefront = Storefront(seed=11, shoppers=800, days=70, start_ms=START, logins=request.param)
    visits: dict[str, list[int]] = defaultdict(list)
    for event in storefront.events():
        if event.type in VISITS:
            visits[storefront.person(event.user)].append(event.at)
    truth = storefront.truth()
    asked = []
    for user, times in visits.items():
        for at in range(START + 7 * DAY, storefront.end - HORIZON + 1, 7 * DAY):
            probability = truth.silence(user, at, HORIZON)
            if probability is not None:
                following = bisect_right(times, at)
                asked.append((probability, following == len(times) or times[following] > at + HORIZON))
    return asked


def test_the_true_probability_is_calibrated_at_every_level(questions: list[tuple[float, bool]]) -> None:
    probabilities = np.array([probability for probability, _ in questions])
    silent = np.array([outcome for _, outcome in questions], dtype=float)

    for low in np.arange(0.0, 1.0, 0.2):
        inside = (probabilities >= low) & (probabilities < low + 0.2)
        expected, found = probabilities[inside].mean(), silent[inside].mean()
        # The horizons of one shopper's questions overlap. So only about a third of the rows are independent.
        error = math.sqrt(expected * (1 - expected) / (inside.sum() / 3))
        assert abs(expected - found) < 4 * error


def test_the_probability_is_zero_during_a_visit() -> None:
    story = Story(offset=0, visits=[Visited(begin=START, end=START + 600_000, rate=0.1, leave=0.9)])
    truth = Truth(start=START, days=60, stories={"u": story})

    assert truth.silence("u", START + 1, HORIZON) == 0.0


def test_the_probability_is_unknown_before_the_first_visit() -> None:
    story = Story(offset=0, visits=[Visited(begin=START + 5, end=START + 9, rate=0.1, leave=0.1)])
    truth = Truth(start=START, days=60, stories={"u": story})

    assert truth.silence("u", START, HORIZON) is None
    assert truth.silence("stranger", START, HORIZON) is None


def test_when_is_the_inverse_of_between() -> None:
    season = Season(START, days=30, offset_hours=-5)

    at = season.when(START + DAY, 3.25)

    assert at is not None
    assert season.between(START + DAY, at) == pytest.approx(3.25, abs=1e-6)
