"""The scores of buyers: recency, frequency and monetary value, each 1 to 5 against the whole population.

A score compares one number of the buyer with four cut points, which divide all buyers into fifths. It is 5 for the
best fifth: the newest purchases, the most orders, the most money.

Recency falls by itself. All other changes follow from purchases, refunds, and new cut points. What conditions read is
the score that was issued last (:class:`~models.profile.ledger.IssuedRfm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from models.events import MICROS
from models.learning.population import MAX_SCORE, Population, milliseconds, score_of
from models.profile.ledger import NEVER, IssuedRfm, Ledger
from models.profile.numbers import ORDERS, PURCHASES, Numbers, numbers_of
from models.profile.state import Facts

SCORES = ("recency", "frequency", "monetary")
"""Names of the scores, as conditions write them."""


class Buyer(NamedTuple):
    """The numbers of a user that are scored.

    Attributes
    ----------
    bought_at
        Time of the last purchase, milliseconds.
    orders
        Number of orders.
    spent
        Money spent without refunds, micros by currency; at least 0.
    """

    bought_at: int
    orders: int
    spent: Mapping[str, int]


class RfmScores(NamedTuple):
    """The scores of a buyer, each 1 to 5.

    Attributes
    ----------
    recency, frequency, monetary
        The scores. ``monetary`` is 0 if the currencies of the buyer have no cut points.
    """

    recency: int
    frequency: int
    monetary: int


def buyer_of(facts: Facts, numbers: Numbers | None = None) -> Buyer | None:
    """Return the numbers of a user that are scored; ``None`` for a user without purchases.

    Parameters
    ----------
    facts
        The user's facts.
    numbers
        The user's numbers, if they are newer than the facts because a piece of the log is being folded.
    """
    if not facts.orders:
        return None
    numbers = numbers_of(facts) if numbers is None else numbers
    bought_at = int(numbers[PURCHASES])
    if not bought_at:  # a state of an early release counted an order without its time
        return None
    refunded = facts.refunded
    spent = {currency: max(micros - refunded.get(currency, 0), 0) for currency, micros in facts.spent.items()}
    return Buyer(bought_at, int(numbers[ORDERS]), spent)


def rfm_scores(buyer: Buyer, population: Population, now: int) -> RfmScores:
    """Return the scores of a buyer at ``now``, milliseconds.

    A buyer who has paid in several currencies has the highest of their monetary scores.

    Examples
    --------
    >>> from models.units import DAY
    >>> fifths = Population(
    ...     users=900,
    ...     recency=(7.0, 30.0, 60.0, 180.0),
    ...     frequency=(1.0, 1.0, 2.0, 5.0),
    ...     monetary={"EUR": (20.0, 50.0, 120.0, 400.0)},
    ... )
    >>> buyer = Buyer(bought_at=10 * DAY, orders=2, spent={"EUR": 60 * MICROS})
    >>> rfm_scores(buyer, fifths, now=17 * DAY)
    RfmScores(recency=5, frequency=3, monetary=3)
    >>> next_change(buyer, fifths, now=17 * DAY) - 17 * DAY, rfm_scores(buyer, fifths, now=17 * DAY + 1).recency
    (1, 4)
    """
    first, second, third, fourth = milliseconds(population.recency)
    age = now - buyer.bought_at
    recency = MAX_SCORE - (age > first) - (age > second) - (age > third) - (age > fourth)
    return RfmScores(recency, score_of(buyer.orders, population.frequency), _monetary(buyer, population))


def next_change(buyer: Buyer, population: Population, now: int) -> int:
    """Return the next time after ``now`` at which the recency score falls by itself; ``NEVER`` if it is the lowest."""
    for limit in milliseconds(population.recency):
        falls_at = buyer.bought_at + limit + 1
        if falls_at > now:
            return falls_at
    return NEVER


def issued_score(ledger: Ledger, name: str) -> int | None:
    """Return the score of this name, one of :data:`SCORES`, that was issued last; ``None`` before any."""
    rfm: IssuedRfm | None = ledger.rfm
    if rfm is None:
        return None
    score: int = getattr(rfm, name)
    return score or None


def changed_scores(before: IssuedRfm | None, after: IssuedRfm) -> list[str]:
    """Return the names of the scores that differ.

    Examples
    --------
    >>> changed_scores(IssuedRfm(5, 2, 3, version=1), IssuedRfm(4, 2, 3, version=2))
    ['recency']
    """
    return [name for name in SCORES if before is None or getattr(before, name) != getattr(after, name)]


def _monetary(buyer: Buyer, population: Population) -> int:
    if not buyer.spent:
        return 1  # all orders were free, or are taken back
    cuts = population.monetary
    return max(
        (score_of(micros / MICROS, cuts[currency]) for currency, micros in buyer.spent.items() if currency in cuts),
        default=0,
    )
