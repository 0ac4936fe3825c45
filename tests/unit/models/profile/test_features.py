from __future__ import annotations

from math import log1p
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile import features
from models.profile.decay import HALF_LIVES, bump, shares
from models.profile.features import FEATURES, row
from models.profile.numbers import ACTIVITY, COUNT, NOW, WIDTH, Numbers, new_numbers
from models.profile.state import Facts
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


def levels(numbers: Numbers, now: int) -> list[float]:
    """Return the decayed counts of activity at ``now``."""
    left = shares(now - int(numbers[ACTIVITY]))
    return [count * share for count, share in zip(numbers[ACTIVITY + 1 : ACTIVITY + WIDTH], left, strict=True)]


@pytest.mark.parametrize("index", range(len(HALF_LIVES)))
def test_a_count_halves_in_its_half_life(index: int) -> None:
    numbers = new_numbers()
    bump(numbers, ACTIVITY, START, 8.0)

    assert levels(numbers, START + HALF_LIVES[index] * DAY)[index] == pytest.approx(4.0, rel=1e-15)


@given(st.lists(st.integers(0, 60 * 24), min_size=1, max_size=20), st.randoms())
def test_decayed_counts_do_not_depend_on_the_order_of_events(hours: list[int], shuffle: object) -> None:
    in_order, shuffled = new_numbers(), new_numbers()
    mixed = list(hours)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    for hour in sorted(hours):
        bump(in_order, ACTIVITY, START + hour * 3_600_000)
    for hour in mixed:
        bump(shuffled, ACTIVITY, START + hour * 3_600_000)

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


VALUES = st.lists(st.floats(0.0, 1e12), min_size=1, max_size=40)
AGES = st.lists(st.integers(-DAY, 500 * DAY), min_size=1, max_size=40)


@st.composite
def blocks(draw: st.DrawFn) -> Numbers:
    """Make the numbers of some rows, in all sizes that occur, with zeros, and with clocks after the time of the row.

    The values are drawn once for all rows and then distributed, because to draw each of a thousand numbers takes long.
    """
    count, chooser = draw(st.integers(1, 40)), Random(draw(st.integers(0, 2**32)))
    values, ages = draw(VALUES), draw(AGES)
    block = new_numbers()[:0]
    for _ in range(count):
        numbers = new_numbers()
        now = numbers[NOW] = START + chooser.randrange(400 * DAY)
        for place in range(1, COUNT):
            is_time = place < 3 or (place >= ACTIVITY and (place - ACTIVITY) % WIDTH == 0)
            if chooser.random() < 0.5:
                numbers[place] = now - chooser.choice(ages) if is_time else chooser.choice(values)
        block += numbers
    return block


@given(blocks())
def test_a_row_has_the_same_bits_alone_and_beside_others(block: Numbers) -> None:
    alone = [features.single_rows(block[begin : begin + COUNT])[0] for begin in range(0, len(block), COUNT)]

    assert features.columns(block).T.tolist() == alone == features.single_rows(block)
    for begin, row_alone in zip(range(0, len(block), COUNT), alone, strict=True):
        assert features.columns(block[begin : begin + COUNT])[:, 0].tolist() == row_alone


def test_a_feature_is_declared_once() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == len(row(Facts(), START))
