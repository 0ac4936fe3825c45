"""What the shop sells: items in categories, with prices, popularity and latent factors that tastes act on."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.events import MICROS

CATEGORIES = (
    "bags", "bath", "bedding", "books", "candles", "ceramics", "clocks", "coffee", "cushions", "frames", "games",
    "garden", "glassware", "jewellery", "kitchen", "lamps", "mirrors", "plants", "posters", "rugs", "scarves",
    "stationery", "tea", "toys", "vases",
)  # fmt: skip
_ADJECTIVES = ("amber", "blue", "coral", "dusk", "fern", "ivory", "linen", "moss", "oak", "rose", "slate", "walnut")
FACTORS = 6
"""Latent dimensions of taste."""

# A weight of the smallest item of a shopper with a million units to share; coarse enough that a last bit of a
# machine's exp() does not change who views what.
_SHARE = 1_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the catalogue; ``price`` in micros."""

    id: str
    title: str
    category: str
    price: int


class Catalogue:
    """About 800 items, the same for the same seed.

    Parameters
    ----------
    seed
        Of the shop.
    items
        How many.
    taste_strength
        How much of what a shopper views is taste; 0 leaves popularity alone.

    Examples
    --------
    >>> catalogue = Catalogue(seed=1)
    >>> len(catalogue.items), len({item.category for item in catalogue.items})
    (800, 25)
    >>> catalogue.items[0]
    Item(id='bags-000', title='amber bags 0', category='bags', price=8500000)
    """

    def __init__(self, seed: int, items: int = 800, taste_strength: float = 1.0) -> None:
        draw = random.Random(f"catalogue:{seed}")
        generator = np.random.default_rng([seed & 0xFFFFFFFF, 1])
        centres = generator.standard_normal((len(CATEGORIES), FACTORS))
        self.items: list[Item] = []
        levels = [draw.lognormvariate(3.2, 0.5) for _ in CATEGORIES]
        kinds = []
        for number in range(items):
            kind = number % len(CATEGORIES)
            category = CATEGORIES[kind]
            price = round(2 * levels[kind] * draw.lognormvariate(0, 0.35)) / 2
            self.items.append(
                Item(
                    id=f"{category}-{number // len(CATEGORIES):03d}",
                    title=f"{draw.choice(_ADJECTIVES)} {category} {number // len(CATEGORIES)}",
                    category=category,
                    price=round(max(price, 2.0) * MICROS),
                )
            )
            kinds.append(kind)
        self._factors = centres[kinds] * 0.85 + 0.5 * generator.standard_normal((items, FACTORS))
        self._popularity = 0.8 * generator.standard_normal(items)
        self._strength = taste_strength

    def shares(self, tastes: NDArray[np.float64]) -> NDArray[np.int64]:
        """Cumulative shares of attention.

        Parameters
        ----------
        tastes
            (shoppers, ``FACTORS``).

        Returns
        -------
        ndarray
            (shoppers, items), int64, rising to the row's total: draw ``r`` below the total and take the first entry
            above it.
        """
        # A sum of products written out: a BLAS product may differ in the last bits from machine to machine.
        affinity = (tastes[:, None, :] * self._factors[None, :, :]).sum(axis=2) * self._strength
        weights = np.exp(np.clip(affinity, -6, 6) + self._popularity[None, :])
        weights /= weights.sum(axis=1, keepdims=True)
        return np.cumsum(np.rint(weights * _SHARE).astype(np.int64), axis=1)
