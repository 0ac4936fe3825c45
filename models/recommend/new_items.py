"""A place for items that no model knows: without one they would never be touched, and so never become known.

About one place in ten goes to them, behind everything that the model recommends; so do places that the model cannot
fill. Which items they are follows from user, model version and day, so an answer does not change between two clicks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

from models.recommend.recommender import Recommendation
from models.units import DAY

NEW = "new or rarely touched"
"""The reason for an item that the model does not know. It may be older than it seems: nobody has touched it lately."""
SHARE = 10
"""One place in this many is for items that the model does not know."""
POOL = 50
"""Number of newest unknown items that take turns."""


def seed_of(user: str, version: int, now: int) -> str:
    """Return what the choice for a user follows from: the same for a day, in milliseconds since the epoch."""
    return f"{user}\0{version}\0{now // DAY}"


def with_new(
    found: Sequence[Recommendation], unknown: Sequence[str], hidden: Collection[str], k: int, seed: str
) -> list[Recommendation]:
    """Give some places to items that the model does not know.

    Parameters
    ----------
    found
        What the model recommends, best first, at most ``k``.
    unknown
        Items for sale that it does not know, the newest first.
    hidden
        Items never to show.
    k
        Number of places.
    seed
        See :func:`seed_of`.

    Returns
    -------
    list
        At most ``k``. New items come last, the newest first, with the lowest score of the answer: it is not measured.

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
    """Return a tenth of the places; where that is no whole number, one more in as many cases."""
    return k // SHARE + (_draw(seed) % SHARE < k % SHARE)


def _draw(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
