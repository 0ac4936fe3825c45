"""The products of the simulated shop, with categories, prices, popularity and latent factors for tastes."""

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
"""Number of latent dimensions of taste."""

# Each shopper has a million units of attention. This unit is so coarse that the viewed products do not depend on the
# last bit of a machine's exp().
_SHARE = 1_000_000


@dataclass(frozen=True, slots=True)
class Product:
    """One product.

    Attributes
    ----------
    id
        Id of the product; events use the same id.
    title
        Name for people.
    category
        One of ``CATEGORIES``.
    price
        Price of one piece, micros.
    """

    id: str
    title: str
    category: str
    price: int


class Assortment:
    """The products of a shop; the same seed gives the same products.

    Parameters
    ----------
    seed
        Seed of the shop.
    count
        Number of products.
    taste_strength
        Weight of taste, relative to popularity, in the choice of viewed products; at least 0. With 0 only popularity
        counts.

    Examples
    --------
    >>> assortment = Assortment(seed=1)
    >>> len(assortment.products), len({product.category for product in assortment.products})
    (800, 25)
    >>> assortment.products[0]
    Product(id='bags-000', title='amber bags 0', category='bags', price=8500000)
    """

    def __init__(self, seed: int, count: int = 800, taste_strength: float = 1.0) -> None:
        draw = random.Random(f"catalogue:{seed}")
        generator = np.random.default_rng([seed & 0xFFFFFFFF, 1])
        centres = generator.standard_normal((len(CATEGORIES), FACTORS))
        self.products: list[Product] = []
        levels = [draw.lognormvariate(3.2, 0.5) for _ in CATEGORIES]
        kinds = []
        for number in range(count):
            kind = number % len(CATEGORIES)
            category = CATEGORIES[kind]
            price = round(2 * levels[kind] * draw.lognormvariate(0, 0.35)) / 2
            self.products.append(
                Product(
                    id=f"{category}-{number // len(CATEGORIES):03d}",
                    title=f"{draw.choice(_ADJECTIVES)} {category} {number // len(CATEGORIES)}",
                    category=category,
                    price=round(max(price, 2.0) * MICROS),
                )
            )
            kinds.append(kind)
        self._factors = centres[kinds] * 0.85 + 0.5 * generator.standard_normal((count, FACTORS))
        self._popularity = 0.8 * generator.standard_normal(count)
        self._strength = taste_strength

    def __repr__(self) -> str:
        """Show the number of products."""
        return f"Assortment(products={len(self.products)})"

    def shares(self, tastes: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return cumulative shares of attention.

        Parameters
        ----------
        tastes
            Tastes of shoppers, shape ``(shoppers, FACTORS)``.

        Returns
        -------
        ndarray
            int64 of shape ``(shoppers, products)``. Each row rises to its total. To choose a product, draw a number
            below the total and take the first entry above that number.
        """
        # The product is written as a sum, because the last bits of a BLAS product may differ from machine to machine.
        affinity = (tastes[:, None, :] * self._factors[None, :, :]).sum(axis=2) * self._strength
        weights = np.exp(np.clip(affinity, -6, 6) + self._popularity[None, :])
        weights /= weights.sum(axis=1, keepdims=True)
        return np.cumsum(np.rint(weights * _SHARE).astype(np.int64), axis=1)
