"""The intervals of the lift are those of other implementations, and they cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models.engage.lift import LEVEL, MIN_BUYERS, MIN_USERS, Group, Lift, lift_of_money, lift_of_rates, wilson


@pytest.mark.parametrize(("converted", "users"), [(0, 30), (1, 30), (15, 31), (29, 30), (30, 30), (371, 12_345)])
def test_the_interval_of_a_share_is_that_of_scipy(converted: int, users: int) -> None:
    other = stats.binomtest(converted, users).proportion_ci(LEVEL, method="wilson")

    assert wilson(converted, users) == pytest.approx((other.low, other.high), abs=1e-12)


@pytest.mark.parametrize(
    ("treated", "control", "interval"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
    ],
)
def test_the_difference_of_rates_has_the_published_interval(
    treated: tuple[int, int], control: tuple[int, int], interval: tuple[float, float]
) -> None:
    found = lift_of_rates(Group(treated[1], treated[0]), Group(control[1], control[0]))

    assert (found.low, found.high) == pytest.approx(interval, abs=5e-5)
    assert found.is_clear


def test_the_difference_of_money_is_that_of_scipys_welch_test() -> None:
    random = np.random.default_rng(5)
    one, other = _spent(random, 400, 0.3, 20.0), _spent(random, 150, 0.2, 35.0)

    found = lift_of_money(_group(one), _group(other))

    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(LEVEL)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert (found.treated, found.control) == pytest.approx((one.mean(), other.mean()))


def test_groups_without_variance_have_an_interval_of_one_point() -> None:
    assert lift_of_money(Group(40, 40, 80.0, 160.0), Group(50, 50, 50.0, 50.0)) == Lift(2.0, 1.0, 1.0, 1.0)


def test_small_groups_have_no_interval_and_say_why() -> None:
    enough, few = Group(MIN_USERS, MIN_BUYERS, 9.0, 9.0), Group(MIN_USERS - 1, MIN_BUYERS, 9.0, 9.0)

    assert lift_of_rates(few, enough).too_few == "the treatment has 29 users, and 30 are needed"
    assert lift_of_rates(enough, Group(0, 0)) == Lift(
        MIN_BUYERS / MIN_USERS, 0.0, too_few="the control group has 0 users, and 30 are needed"
    )
    poor = Group(MIN_USERS, MIN_BUYERS - 1, 9.0, 9.0)
    assert lift_of_money(enough, poor).too_few == "the control group has 19 conversions, and 20 are needed"
    assert not lift_of_rates(few, enough).is_clear


@pytest.mark.parametrize(("one", "other"), [(0.1, 0.1), (0.05, 0.02), (0.5, 0.4)])
@pytest.mark.parametrize("sizes", [(900, 100), (90, 30)])
def test_intervals_of_rates_cover_the_truth_as_often_as_they_say(
    one: float, other: float, sizes: tuple[int, int]
) -> None:
    random, trials = np.random.default_rng(7), 4_000
    treated, control = random.binomial(sizes[0], one, trials), random.binomial(sizes[1], other, trials)

    covered = sum(
        _covers(lift_of_rates(Group(sizes[0], int(a)), Group(sizes[1], int(b))), one - other)
        for a, b in zip(treated, control, strict=True)
    )

    assert 0.935 <= covered / trials <= 0.985


def test_intervals_of_money_cover_the_truth_as_often_as_they_say() -> None:
    random, trials, covered = np.random.default_rng(11), 1_500, 0
    truth = 0.3 * 20.0 - 0.25 * 20.0
    for _ in range(trials):
        treated, control = _spent(random, 900, 0.3, 20.0), _spent(random, 200, 0.25, 20.0)
        covered += _covers(lift_of_money(_group(treated), _group(control)), truth)

    assert 0.93 <= covered / trials <= 0.97


def _covers(found: Lift, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def _spent(random: np.random.Generator, users: int, rate: float, mean: float) -> np.ndarray:
    """Return the money of users; a share of them buys, and what they spend has a long tail."""
    return (random.random(users) < rate) * random.lognormal(np.log(mean) - 0.5, 1.0, users)


def _group(money: np.ndarray) -> Group:
    return Group(len(money), int((money > 0).sum()), float(money.sum()), float((money**2).sum()))
