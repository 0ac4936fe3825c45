"""Places for new items, which no model knows yet.

Without such places users would never see a new item, so no model could ever learn it. About one place in ten is for new
items; these places come after the recommendations of the model. New items also get the places that the model cannot
fill. The choice depends on the user, the model version and the day, so an answer does not change between two clicks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

from models.recommend.recommender import Recommendation
from models.units import DAY

NEW = "new or rarely touched"
"""Reason for an item that the model does not know. It may be an old item without recent interactions."""
SHARE = 10
"""Number of places of which one, on average, is for an item that the model does not know."""
POOL = 50
"""Number of newest unknown items from which the choice is made."""


def seed_of(user: str, version: int, now: int) -> str:
    """Return the seed that decides which new items a user gets; it changes once a day.

    ``now`` is in milliseconds since the epoch.
    """
    return f"{user}\0{version}\0{now // DAY}"


def with_new(
    found: Sequence[Recommendation], unknown: Sequence[str], hidden: Collection[str], k: int, seed: str
) -> list[Recommendation]:
    """Replace some recommendations by items that the model does not know.

    Parameters
    ----------
    found
        Recommendations of the model, best first, at most ``k``.
    unknown
        Items for sale that the model does not know, the newest first.
    hidden
        Items that must not be shown.
    k
        Number of places.
    seed
        Result of :func:`seed_of`.

    Returns
    -------
    list
        At most ``k`` recommendations. New items come last, the newest first. Their score is unknown, so they get the
        lowest score of the answer.

    Examples
    --------
    >>> known = [Recommendation("mug", 0.9, "popular"), Recommendation("pot", 0.8, "popular")]
    >>> [each.item for each in with_new(known, ["vase"], (), 3, "u1")]
    ['mug', 'pot', 'vase']
    """
    candidates = [item for item in unknown if item not in hidden]
    places = min(max(_places(k, seed), k - len(found)), len(candidates))
    if not places:
        return list(found)
    pool = candidates[: max(POOL, places)]
    chosen = set(sorted(pool, key=lambda item: _draw(f"{seed}\0{item}"))[:places])
    kept = list(found[: k - places])
    lowest = min((each.score for each in kept), default=0.0)
    return kept + [Recommendation(item, lowest, NEW) for item in pool if item in chosen]


def _places(k: int, seed: str) -> int:
    """Return a tenth of the places, rounded up or down at random so that the mean is exact."""
    return k // SHARE + (_draw(seed) % SHARE < k % SHARE)


def _draw(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
