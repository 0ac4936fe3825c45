from __future__ import annotations

from math import log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile.decay import HALF_LIVES, bump, levels
from models.profile.features import FEATURES, row
from models.profile.state import Decay, Facts
from models.units import DAY
from tests.support.event_logs import START
from tests.support.facts import event, facts_of


def named(facts: Facts, now: int) -> dict[str, float]:
    return dict(zip(FEATURES, row(facts, now), strict=True))


def test_recency_frequency_and_money_have_the_documented_values() -> None:
    orders = [event("purchase", START + n * DAY, order=f"o{n}", amount=30_000_000) for n in range(4)]
    facts = facts_of(*orders, event("refund", START + 4 * DAY, amount=30_000_000))

    features = named(facts, START + 10 * DAY)

    assert features["days_since_last"] == pytest.approx(log1p(7))
    assert features["days_since_first"] == pytest.approx(log1p(10))
    assert features["orders"] == pytest.approx(log1p(4))
    assert features["average_order"] == pytest.approx(log1p(30))
    assert features["refund_share"] == 0.25
    assert features["gap_ratio"] == pytest.approx(log1p(7))  # a week of inactivity of a user who came daily


@pytest.mark.parametrize("index", range(len(HALF_LIVES)))
def test_a_count_halves_in_its_half_life(index: int) -> None:
    decay = Decay()
    bump(decay, START, 8.0)

    assert levels(decay, START + int(HALF_LIVES[index] * DAY))[index] == pytest.approx(4.0)


@given(st.lists(st.integers(0, 60 * 24), min_size=1, max_size=20), st.randoms())
def test_decayed_counts_do_not_depend_on_the_order_of_events(hours: list[int], shuffle: object) -> None:
    in_order, shuffled = Decay(), Decay()
    mixed = list(hours)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    for hour in sorted(hours):
        bump(in_order, START + hour * 3_600_000)
    for hour in mixed:
        bump(shuffled, START + hour * 3_600_000)

    now = START + 70 * DAY
    assert levels(shuffled, now) == pytest.approx(levels(in_order, now))


def test_a_steady_rate_has_the_trend_of_one() -> None:
    facts = facts_of(*(event("click", START + n * DAY // 2) for n in range(600)))

    assert named(facts, facts.last_seen)["activity_trend"] == pytest.approx(1.0, abs=0.1)


def test_the_evening_share_is_of_all_hours_seen() -> None:
    facts = facts_of(event("click", START + 19 * 3_600_000), event("click", START + 9 * 3_600_000))

    assert named(facts, START + DAY)["evening_share"] == 0.5


def test_a_user_without_events_has_a_row_of_zeros() -> None:
    assert row(Facts(), START) == [0.0] * len(FEATURES)
