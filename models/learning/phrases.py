"""Feature values in words, which people read as the reasons of a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import expm1
from types import MappingProxyType

Phrase = Callable[[float], str]


def _days(value: float) -> str:
    days = expm1(value)
    if days < 1.5:
        hours = max(1, round(days * 24))
        return f"{hours} hour{'s' if hours != 1 else ''}"
    return f"{round(days)} days"


def _count(value: float, one: str, many: str) -> str:
    number = round(expm1(value))
    return f"no {many}" if number == 0 else f"{number} {one if number == 1 else many}"


def _lately(many: str, window: str) -> Phrase:
    def phrase(value: float) -> str:
        count = expm1(value)
        if count < 0.05:
            return f"no {many} in the last {window}"
        return f"{'few' if count < 3 else 'many'} {many} in the last {window}"

    return phrase


# The values come from a row of features (models/profile/features.py). Such a row contains log1p(x) for x days, a count
# or an amount of money.
PHRASES: Mapping[str, Phrase] = MappingProxyType(
    {
        "days_since_last": lambda v: f"no visit for {_days(v)}",
        "days_since_first": lambda v: f"known for {_days(v)}",
        "sessions": lambda v: f"{_count(v, 'visit', 'visits')} so far",
        "gap_days": lambda v: f"comes about every {_days(v)}",
        "gap_ratio": lambda v: (
            f"silent {expm1(v):.1f} times as long as usual" if expm1(v) >= 1.0 else "was here sooner than usual"
        ),
        "activity_1d": _lately("events", "day"),
        "activity_7d": _lately("events", "week"),
        "activity_30d": _lately("events", "month"),
        "activity_trend": lambda v: (
            "activity is falling" if v < 0.9 else "activity is rising" if v > 1.1 else "activity is steady"
        ),
        "views_7d": _lately("views", "week"),
        "views_30d": _lately("views", "month"),
        "carts_7d": _lately("cart additions", "week"),
        "carts_30d": _lately("cart additions", "month"),
        "purchases_7d": _lately("purchases", "week"),
        "purchases_30d": _lately("purchases", "month"),
        "spend_7d": lambda v: f"spent about {expm1(v):.0f} in the last week",
        "spend_30d": lambda v: f"spent about {expm1(v):.0f} in the last month",
        "orders": lambda v: f"{_count(v, 'order', 'orders')} so far",
        "average_order": lambda v: "no paid order yet" if v == 0 else f"average order of {expm1(v):.0f}",
        "rating_mean": lambda v: (
            f"ratings below the middle ({v + 3:.1f})"
            if v < 0
            else f"ratings above the middle ({v + 3:.1f})"
            if v > 0
            else "ratings at the middle, or none"
        ),
        "refund_share": lambda v: "no refunds" if v == 0 else f"{v:.0%} of orders refunded",
        "support": lambda v: _count(v, "message to support", "messages to support"),
        "categories": lambda v: f"interested in {_count(v, 'category', 'categories')}",
        "cart_open": lambda v: f"{_count(v, 'item', 'items')} in the cart",
        "messages_opened": lambda v: f"opened {_count(v, 'message', 'messages')}",
        "evening_share": lambda v: f"{v:.0%} of visits in the evening",
    }
)
"""Phrase of each feature, by its name."""


def describe(name: str, value: float, scaled: float) -> str:
    """Describe a feature's value in words.

    Parameters
    ----------
    name
        Name of the feature. A feature without its own phrase gets a general one.
    value
        The value in the row.
    scaled
        The value in standard deviations from the population's mean.

    Examples
    --------
    >>> describe("days_since_last", 3.2, 1.8)
    'no visit for 24 days'
    >>> describe("shoe_size", 1.0, -2.0)
    'shoe size is low'
    """
    phrase = PHRASES.get(name)
    if phrase is not None:
        return phrase(value)
    return f"{name.replace('_', ' ')} is {'high' if scaled > 0 else 'low'}"
