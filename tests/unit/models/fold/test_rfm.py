"""Scores of buyers: by hand, at the edges of the cut points, and on Online Retail."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from models.events import MICROS
from models.fold.rfm import SCORES, Buyer, RfmScores, buyer_of, issued_score, next_change, rfm_scores
from models.learning.population import Population
from models.learning.quantiles import RANK_ERROR
from models.profile.ledger import NEVER, IssuedRfm, Ledger
from models.profile.numbers import ORDERS, PURCHASES, new_numbers
from models.profile.state import Facts
from models.units import DAY
from tests.support import retail_buyers
from tests.support.paths import ONLINE_RETAIL

NOW = 400 * DAY
FIFTHS = Population(
    users=900,
    recency=(7.0, 30.0, 60.0, 180.0),
    frequency=(1.0, 1.0, 2.0, 5.0),
    monetary={"EUR": (20.0, 50.0, 120.0, 400.0), "JPY": (2e3, 5e3, 2e4, 5e4)},
)
END_OF_RETAIL_MS = 1_323_435_600_000
"""Ten minutes after the last line of Online Retail, milliseconds."""


def bought(days_ago: float = 1.0, orders: int = 1, **spent: int) -> Buyer:
    return Buyer(NOW - int(days_ago * DAY), orders, {name: amount * MICROS for name, amount in spent.items()})


@pytest.mark.parametrize(
    ("days", "score"), [(0.0, 5), (7.0, 5), (7.1, 4), (30.0, 4), (59.0, 3), (60.5, 2), (180.0, 2), (181.0, 1)]
)
def test_the_recency_score_falls_by_one_behind_each_cut_point(days: float, score: int) -> None:
    assert rfm_scores(bought(days), FIFTHS, NOW).recency == score


def test_the_next_change_is_the_first_millisecond_with_a_lower_score() -> None:
    buyer, at = bought(0.0), NOW
    changes = []
    while (at := next_change(buyer, FIFTHS, at)) != NEVER:
        changes.append((at - NOW, rfm_scores(buyer, FIFTHS, at - 1).recency, rfm_scores(buyer, FIFTHS, at).recency))

    assert changes == [(7 * DAY + 1, 5, 4), (30 * DAY + 1, 4, 3), (60 * DAY + 1, 3, 2), (180 * DAY + 1, 2, 1)]


@pytest.mark.parametrize(
    ("spent", "score"),
    [
        ({"EUR": 20}, 1),
        ({"EUR": 21}, 2),
        ({"EUR": 401}, 5),
        ({"EUR": 21, "JPY": 20_001}, 4),
        ({"EUR": 401, "XAU": 1}, 5),
        ({"XAU": 900}, 0),
        ({}, 1),
    ],
)
def test_each_currency_has_its_own_cut_points_and_the_best_score_counts(spent: Mapping[str, int], score: int) -> None:
    assert rfm_scores(bought(**spent), FIFTHS, NOW).monetary == score


def test_refunds_are_subtracted_and_never_below_nothing() -> None:
    facts = Facts(
        orders=2, spent={"EUR": 90 * MICROS, "USD": 5 * MICROS}, refunded={"EUR": 30 * MICROS, "USD": 9 * MICROS}
    )
    assert buyer_of(facts) is None, "a count without a time is that of an early release"
    numbers = new_numbers()
    numbers[ORDERS], numbers[PURCHASES] = 2.0, float(NOW)
    assert buyer_of(facts, numbers) == Buyer(NOW, 2, {"EUR": 60 * MICROS, "USD": 0})


def test_a_user_without_purchases_has_no_scores() -> None:
    assert buyer_of(Facts(sessions=3)) is None
    assert [issued_score(Ledger(), name) for name in SCORES] == [None, None, None]


def test_a_condition_reads_the_scores_that_were_issued_last() -> None:
    ledger = Ledger(rfm=IssuedRfm(5, 3, 0, 17))

    assert [issued_score(ledger, name) for name in SCORES] == [5, 3, None]


@pytest.mark.slow
@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason=f"no copy of Online Retail at {ONLINE_RETAIL}")
def test_scores_of_online_retail_equal_those_of_a_naive_computation_and_nearly_those_of_a_sketch() -> None:
    naive, ours = retail_buyers.naive_buyers(ONLINE_RETAIL), retail_buyers.reduced_buyers(ONLINE_RETAIL)
    assert len(naive) == 4_339
    assert ours == naive

    expected = retail_buyers.naive_scores(naive, END_OF_RETAIL_MS)
    exact = retail_buyers.exact_population(naive, END_OF_RETAIL_MS)
    assert scored(ours, exact) == expected
    assert {scores.recency for scores in expected.values()} == {1, 2, 3, 4, 5}

    sketched = retail_buyers.differing(
        scored(ours, retail_buyers.sketched_population(ours, END_OF_RETAIL_MS)), expected
    )
    # Each of the four cut points is off by at most this share of the buyers, with a probability of 99%.
    assert max(sketched[name] for name in SCORES) <= 4 * RANK_ERROR


def scored(buyers: Mapping[str, Buyer], population: Population) -> dict[str, RfmScores]:
    return {user: rfm_scores(buyer, population, END_OF_RETAIL_MS) for user, buyer in buyers.items()}
