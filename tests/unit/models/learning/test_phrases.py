from __future__ import annotations

from math import log1p

import pytest

from models.learning.phrases import PHRASES, describe
from models.profile.features import FEATURES


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("value", [0.0, 0.02, 1.0, 9.9])
def test_every_feature_of_a_user_has_a_readable_phrase(name: str, value: float) -> None:
    text = describe(name, value, 1.0)
    assert name in PHRASES
    assert text
    assert "_" not in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("days_since_last", log1p(23), "no visit for 23 days"),
        ("days_since_last", log1p(0.5), "no visit for 12 hours"),
        ("gap_ratio", log1p(2.5), "silent 2.5 times as long as usual"),
        ("gap_ratio", log1p(0.3), "was here sooner than usual"),
        ("average_order", 0.0, "no paid order yet"),
        ("orders", 0.0, "no orders so far"),
        ("orders", log1p(1), "1 order so far"),
        ("activity_trend", 0.4, "activity is falling"),
        ("purchases_30d", 0.0, "no purchases in the last month"),
        ("rating_mean", -1.5, "ratings below the middle (1.5)"),
        ("refund_share", 0.5, "50% of orders refunded"),
    ],
)
def test_values_are_given_in_units_that_people_use(name: str, value: float, text: str) -> None:
    assert describe(name, value, 1.0) == text
