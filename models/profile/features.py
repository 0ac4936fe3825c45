"""A user as a row of numbers, for every model that scores users.

Counts, money and times are transformed by ``log1p``. So most values lie between 0 and 10, and no heavy tail dominates a
linear model.

To add a feature, add its name to ``FEATURES`` and its value at the same place in ``row``. Learners notice the changed
schema and start again.
"""

from __future__ import annotations

from math import log1p

from models.profile.decay import levels
from models.profile.state import Facts
from models.units import DAY

FEATURES: tuple[str, ...] = (
    "days_since_last",
    "days_since_first",
    "sessions",
    "gap_days",
    "gap_ratio",
    "activity_1d",
    "activity_7d",
    "activity_30d",
    "activity_trend",
    "views_7d",
    "views_30d",
    "carts_7d",
    "carts_30d",
    "purchases_7d",
    "purchases_30d",
    "spend_30d",
    "orders",
    "average_order",
    "rating_mean",
    "refund_share",
    "support",
    "categories",
    "cart_open",
    "messages_opened",
    "evening_share",
)
"""Names of the features, in the order of a row.

- ``gap_ratio``: ``log1p`` of the time since the last activity, relative to the user's usual gap between sessions.
- ``activity_trend``: activity of the last week, relative to that of the last month; 1 if it is steady.
- ``rating_mean``: mean rating, relative to 3.
- ``refund_share``, ``evening_share``: shares between 0 and 1.
- All others: ``log1p`` of days, counts, or units of money.
"""

_EVENING = slice(18, 24)


def row(facts: Facts, now: int) -> list[float]:
    """Compute the features of a user at ``now``: one value for each of ``FEATURES``.

    Parameters
    ----------
    facts
        The user's facts.
    now
        Milliseconds since the epoch. It should not be before the newest event, because the features count back from it.

    Examples
    --------
    >>> len(row(Facts(), 0)) == len(FEATURES)
    True
    """
    since_last = max(0, now - facts.last_seen) / DAY if facts.last_seen else 0.0
    since_first = max(0, now - facts.first_seen) / DAY if facts.first_seen else 0.0
    gap = facts.gap / DAY
    activity_1d, activity_7d, activity_30d = levels(facts.activity, now)
    _, views_7d, views_30d = levels(facts.views, now)
    _, carts_7d, carts_30d = levels(facts.carts, now)
    _, purchases_7d, purchases_30d = levels(facts.purchases, now)
    spent = sum(facts.spent.values()) / 1_000_000
    hours = facts.hours
    counted = sum(hours)
    return [
        log1p(since_last),
        log1p(since_first),
        log1p(facts.sessions),
        log1p(gap),
        log1p(since_last / max(gap, 0.5)),
        log1p(activity_1d),
        log1p(activity_7d),
        log1p(activity_30d),
        # a steady rate r per day keeps r * h / ln 2 at half-life h
        min(3.0, activity_7d / (activity_30d * 7 / 30)) if activity_30d > 1e-9 else 0.0,
        log1p(views_7d),
        log1p(views_30d),
        log1p(carts_7d),
        log1p(carts_30d),
        log1p(purchases_7d),
        log1p(purchases_30d),
        log1p(levels(facts.spend, now)[2]),
        log1p(facts.orders),
        log1p(spent / facts.orders) if facts.orders else 0.0,
        facts.rating_sum / facts.ratings - 3.0 if facts.ratings else 0.0,
        min(1.0, facts.refunds / facts.orders) if facts.orders else 0.0,
        log1p(facts.support),
        log1p(len(facts.categories)),
        log1p(len(facts.cart)),
        log1p(facts.messages.get("message_opened", 0)),
        sum(hours[_EVENING]) / counted if counted else 0.0,
    ]
