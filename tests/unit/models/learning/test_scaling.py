from __future__ import annotations

import random

import pytest
from river.preprocessing import StandardScaler

from models.learning.scaling import FLOOR, make_scaler, scale, take_moments

NAMES = ("recency", "orders")


def _seen(rows: int) -> StandardScaler:
    chance, scaler = random.Random(0), StandardScaler()
    for _ in range(rows):
        scaler.learn_one({"recency": chance.gauss(3.0, 1.0), "orders": 2.0})
    return scaler


@pytest.mark.parametrize("rows", [0, 1, 500])
def test_a_scaler_made_from_moments_continues_as_if_it_had_seen_the_rows(rows: int) -> None:
    original = _seen(rows)
    again = make_scaler(take_moments(original, NAMES), NAMES)
    for scaler in (original, again):
        scaler.learn_one({"recency": 9.0, "orders": 0.0})
    assert take_moments(again, NAMES) == take_moments(original, NAMES)


def test_a_feature_that_varies_is_scaled_as_in_river_except_for_the_floor() -> None:
    scaler, row = _seen(500), {"recency": 5.0}
    (by_river,) = scaler.transform_one(row).values()
    (ours,) = scale(scaler, row).values()
    assert ours == pytest.approx(by_river, rel=FLOOR)
    assert ours < by_river


def test_the_first_change_of_a_constant_feature_stays_moderate() -> None:
    assert scale(_seen(500), {"orders": 2.0}) == {"orders": 0.0}
    assert 0.0 < scale(_seen(500), {"orders": 2.7})["orders"] < 5.0
