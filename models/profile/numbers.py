"""The numbers of a user from which the features follow, in one block.

While a piece of the log is folded, a user's block is an array, and each step that is scored copies it. So the features
of many steps are computed at once. Each reducer changes the facts and the numbers together. The decayed counts are
changed in the block alone, and :func:`put_back` copies them to the facts before these are stored.
"""

from __future__ import annotations

from array import array
from typing import TypeAlias

from models.profile.state import Facts

Numbers: TypeAlias = "array[float]"

NOW = 0
"""Place of the time for which the features are computed."""
(
    FIRST_SEEN,
    LAST_SEEN,
    SESSIONS,
    GAP,
    ORDERS,
    REFUNDS,
    SPENT,
    RATINGS,
    RATING_SUM,
    SUPPORT,
    CATEGORIES,
    CART_LINES,
    OPENED,
    EVENING,
    HOURS,
) = range(1, 16)
"""Places of numbers that are facts: times and the gap in milliseconds, money in micros of all currencies together.

``CATEGORIES`` and ``CART_LINES`` are lengths, ``OPENED`` counts opened messages, ``HOURS`` counts all events by hour,
and ``EVENING`` those of the evening.
"""
DECAYED = 16
"""Place of the first decayed count."""
WIDTH = 4
"""Number of places of a decayed count: the time to which it has decayed, and its value at each half-life."""
ACTIVITY, VIEWS, CARTS, PURCHASES, SPEND = range(DECAYED, DECAYED + 5 * WIDTH, WIDTH)
"""Places of the decayed counts, those that most users have before the others.

Spend is in units of the currency that was paid in, and currencies are added up.
"""
COUNT = DECAYED + 5 * WIDTH
"""Number of numbers."""

EVENING_HOUR = 18
"""First hour of the evening, which lasts until midnight."""

_BYTES = 8 * (COUNT - DECAYED)
_EMPTY = bytes(8 * COUNT)
_ZERO = b"\0"


def new_numbers() -> Numbers:
    """Return the numbers of a user without events."""
    numbers = array("d")
    numbers.frombytes(_EMPTY)
    return numbers


def numbers_of(facts: Facts) -> Numbers:
    """Return the numbers of a user with these facts, as a new block."""
    messages, spent = facts.messages, facts.spent
    numbers = array(
        "d",
        (
            0.0,
            facts.first_seen,
            facts.last_seen,
            facts.sessions,
            facts.gap,
            facts.orders,
            facts.refunds,
            sum(spent.values()) if spent else 0.0,
            facts.ratings,
            facts.rating_sum,
            facts.support,
            len(facts.categories),
            len(facts.cart),
            messages.get("message_opened", 0) if messages else 0.0,
            facts.evening_visits,
            facts.visits,
        ),
    )
    numbers.frombytes(facts.decayed.ljust(_BYTES, _ZERO))
    return numbers


def put_back(numbers: Numbers, facts: Facts) -> None:
    """Copy the decayed counts from the block to the facts; counts of 0 at the end take no bytes there."""
    facts.decayed = numbers[DECAYED:].tobytes().rstrip(_ZERO)
