"""The published form of the population: cut points of the buyers, and the gaps between their purchases.

A user's recency, frequency and monetary value become scores from 1 to 5 by these cut points (:mod:`models.fold.rfm`).
The gaps are a shop's own unit of inactivity. A week without a purchase is long for a bakery, and short for a furniture
shop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from models.errors import StateMismatch
from models.units import DAY

NAME = "population"
"""Name of the ``use`` records."""
SCHEMA = 1
"""Version of the content's form."""
SHARES = (0.2, 0.4, 0.6, 0.8)
"""The shares of the buyers at or below the four cut points, which divide the buyers into fifths."""
MAX_SCORE = len(SHARES) + 1

Cuts = tuple[float, float, float, float]
"""Four cut points in ascending order; neighbours may be equal."""

_Amount = Annotated[float, msgspec.Meta(ge=0.0)]


class PopulationGaps(msgspec.Struct, frozen=True, gc=False):
    """Quantiles of the gaps between a purchase and the next one of the same user.

    Attributes
    ----------
    median, p75, p90
        Half, three quarters and nine tenths of the gaps are at most this long, days.
    count
        Number of gaps.
    """

    median: _Amount
    p75: _Amount
    p90: _Amount
    count: Annotated[int, msgspec.Meta(ge=0)]


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the control record ``use population@VERSION``.

    Attributes
    ----------
    schema
        Version of this form.
    users
        Number of buyers behind the cut points.
    recency
        Cut points of the time since the last purchase, days.
    frequency
        Cut points of the number of orders.
    monetary
        Cut points of the money spent without refunds, in units of the currency, by currency. Each currency has its own
        buyers.
    gaps
        The gaps between purchases; ``None`` while too few users have bought twice.

    Examples
    --------
    >>> fifths = Population(
    ...     users=900,
    ...     recency=(7.0, 30.0, 60.0, 180.0),
    ...     frequency=(1.0, 1.0, 2.0, 5.0),
    ...     monetary={"EUR": (20.0, 50.0, 120.0, 400.0)},
    ...     gaps=PopulationGaps(median=21.0, p75=48.0, p90=110.5, count=2400),
    ... )
    >>> decode(encode(fifths)) == fifths
    True
    """

    schema: int = SCHEMA
    users: Annotated[int, msgspec.Meta(ge=1)]
    recency: Cuts
    frequency: Cuts
    monetary: dict[str, Cuts] = {}
    gaps: PopulationGaps | None = None


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Population).decode


def encode(population: Population) -> bytes:
    """Return the content of a ``use`` record: JSON, exact to the last bit."""
    return _encode(population)


def decode(content: bytes | msgspec.Raw) -> Population:
    """Read the content of a ``use`` record.

    Raises
    ------
    StateMismatch
        Another schema version wrote it.
    msgspec.DecodeError
        The bytes are not content of this kind, or cut points are not in ascending order.
    """
    population = _decode(content)
    if population.schema != SCHEMA:
        raise StateMismatch(NAME, population.schema, SCHEMA)
    for name, cuts in _named(population).items():
        if min(cuts) < 0.0 or tuple(sorted(cuts)) != cuts:
            raise msgspec.ValidationError(f"{name}: found {cuts}; allowed: numbers from 0 in ascending order")
    gaps = population.gaps
    if gaps is not None and not gaps.median <= gaps.p75 <= gaps.p90:
        raise msgspec.ValidationError(f"gaps: found {gaps}; allowed: median, p75 and p90 in ascending order")
    return population


def score_of(value: float, cuts: Cuts) -> int:
    """Return the score of a value of which more is better: 1, and 1 more for each cut point below the value.

    Equal values have equal scores. So a fifth may have more or fewer members than the others.

    Examples
    --------
    >>> [score_of(orders, (1.0, 1.0, 2.0, 5.0)) for orders in (1, 2, 3, 5, 6)]
    [1, 3, 4, 4, 5]
    """
    return 1 + (value > cuts[0]) + (value > cuts[1]) + (value > cuts[2]) + (value > cuts[3])


def milliseconds(cuts: Cuts) -> tuple[int, int, int, int]:
    """Return cut points in days as whole milliseconds.

    Examples
    --------
    >>> milliseconds((0.5, 1.0, 1.0, 2.0))
    (43200000, 86400000, 86400000, 172800000)
    """
    first, second, third, fourth = cuts
    return round(first * DAY), round(second * DAY), round(third * DAY), round(fourth * DAY)


def _named(population: Population) -> Mapping[str, Cuts]:
    monetary = {f"monetary.{currency}": cuts for currency, cuts in population.monetary.items()}
    return {"recency": population.recency, "frequency": population.frequency, **monetary}
