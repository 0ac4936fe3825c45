"""Recommendations for a user, from a trained model and the user's newest interactions.

This module needs only numpy, and trains nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.recommend.catalogue import Catalogue
from models.recommend.confidence import confidence_of, decay, ridge_of
from models.recommend.model import FactorModel
from models.recommend.ranking import top_rows

POPULAR = "popular"
"""Reason for an item whose popularity counts more than the user's taste."""
OFFERED = "on offer"
"""Reason for an item that fills a place although neither taste nor popularity supports it."""


class RecentInteraction(Protocol):
    """One of a user's newest interactions, from a profile or from a held-out user."""

    @property
    def item(self) -> str:
        """Item id."""

    @property
    def weight(self) -> float:
        """Weight, see :func:`models.recommend.interactions.weight_of`; at least 0."""

    @property
    def at(self) -> int:
        """Time of the interaction, milliseconds since the epoch."""


class Recommendation(msgspec.Struct, frozen=True):
    """One item for one user.

    Attributes
    ----------
    item
        Id of the item.
    score
        Score; higher is better. It can only be compared within one answer.
    why
        Reason. ``because of ITEM`` names the interaction that contributed most. ``popular`` means that popularity
        counts more than taste, and ``on offer`` that neither supports the item.
    """

    item: str
    score: float
    why: str


class FoldedUser:
    """The factors of one user, computed as in a training sweep, with the item factors of a trained model.

    Parameters
    ----------
    model
        The trained model.
    rows
        Rows of the user's items, each once, shape ``(n,)``.
    confidence
        Confidence in each item, above 0, shape ``(n,)``.

    Attributes
    ----------
    factors
        The user's factors, float32 of shape ``(dimensions,)``.
    """

    def __init__(self, model: FactorModel, rows: NDArray[np.intp], confidence: NDArray[np.float32]) -> None:
        self._model = model
        self._items = model.factors[rows]
        self._confidence = confidence
        hyper = model.hyperparameters
        ridge = ridge_of(
            float(confidence.sum()), len(model.items), hyper.unobserved, hyper.regularization, hyper.exponent
        )
        normal = (self._items.T * confidence) @ self._items + np.float32(hyper.unobserved) * model.gram
        normal[np.diag_indices_from(normal)] += np.float32(ridge)
        self._normal = normal.astype(np.float32, copy=False)
        self.factors: NDArray[np.float32] = np.linalg.solve(self._normal, confidence @ self._items)

    def __repr__(self) -> str:
        """Show the number of items."""
        return f"FoldedUser(items={len(self._confidence)})"

    def pushes(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the contribution of each of the user's items to the taste for other items.

        A user's taste for an item is a sum over the user's items: ``confidence * item' normal^-1 own_item``.

        Parameters
        ----------
        rows
            Rows of the other items, shape ``(m,)``.

        Returns
        -------
        NDArray
            float32 of shape ``(n, m)``.
        """
        others = np.linalg.solve(self._normal, self._model.factors[rows].T)
        return self._confidence[:, None] * (self._items @ others)


class Recommender:
    """Recommendations of a :class:`FactorModel`.

    For each answer, a user's vector is computed from the newest interactions, while the item factors do not change.
    This is exactly the user's half of a training sweep. So a click counts immediately, and nothing about users is
    stored.

    Parameters
    ----------
    model
        The trained model.
    version
        Published version of the model.

    Examples
    --------
    >>> from models.profile.recent_items import RecentItem
    >>> from models.recommend.model import Hyperparameters, model_of
    >>> factors = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    >>> popularity = np.array([1, 2, 3], np.float32)
    >>> model = model_of(["mug", "pot", "sock"], factors, popularity, Hyperparameters(dimensions=2))
    >>> recommender = Recommender(model)
    >>> [(r.item, r.why) for r in recommender.recommend([RecentItem("mug", 1.0, 0)], now=0, k=1)]
    [('pot', 'because of mug')]
    >>> [(r.item, r.why) for r in recommender.recommend([], now=0, k=1)]
    [('sock', 'popular')]
    """

    def __init__(self, model: FactorModel, version: int = 0) -> None:
        self.model = model
        self.version = version
        self._index = {item: row for row, item in enumerate(model.items)}
        self._by_popularity = np.argsort(-model.popularity, kind="stable")
        heat = np.log1p(model.popularity)
        self._trend = np.float32(model.hyperparameters.trend) * heat / max(float(heat.max(initial=0.0)), 1e-9)
        self._for_sale: tuple[Catalogue | None, int, NDArray[np.bool_] | None] = (None, -1, None)
        self._unknown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show the size of the model and its version."""
        return f"Recommender(items={len(self.model.items)}, version={self.version})"

    def recommend(
        self,
        recent: Sequence[RecentInteraction],
        *,
        now: int,
        k: int = 10,
        exclude: Collection[str] = (),
        exclude_recent: bool = True,
        catalogue: Catalogue | None = None,
    ) -> list[Recommendation]:
        """Return the ``k`` best items for a user, best first.

        Parameters
        ----------
        recent
            The user's newest interactions, in any order. Items that the model does not know are ignored.
        now
            Present time, milliseconds since the epoch; the older an interaction is, the less it counts.
        k
            Number of items, at least 1. The answer is shorter if fewer are for sale.
        exclude
            Items that must not be shown, such as those already bought.
        exclude_recent
            Whether the items in ``recent`` are left out.
        catalogue
            Items for sale; ``None`` allows every item that the model knows.
        """
        if k < 1:
            raise ValueError(f"k is {k}; at least 1 is allowed")
        rows, confidence = self._history(recent, now)
        allowed = self._allowed(catalogue).copy()
        hidden = {*exclude, *(each.item for each in recent)} if exclude_recent else exclude
        allowed[[self._index[item] for item in hidden if item in self._index]] = False
        if not len(rows):
            return self._popular(allowed, k)
        user = FoldedUser(self.model, rows, confidence)
        taste = self.model.factors @ user.factors
        scores = taste + self._trend
        best = top_rows(np.where(allowed, scores, -np.inf), k)
        pushes = user.pushes(best)  # the item with the largest contribution is the reason
        return [
            Recommendation(
                self.model.items[row],
                float(scores[row]),
                f"because of {self.model.items[rows[strongest]]}"
                if taste[row] >= self._trend[row] and pushes[strongest, place] > 0
                else self._without_taste(row),
            )
            for place, (row, strongest) in enumerate(zip(best, pushes.argmax(axis=0), strict=True))
        ]

    def unknown(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Return the items for sale that the model does not know, the newest in the catalogue first."""
        self._allowed(catalogue)
        return self._unknown

    def _without_taste(self, row: np.intp) -> str:
        return POPULAR if self.model.popularity[row] > 0 else OFFERED

    def prepared(self, catalogue: Catalogue) -> Recommender:
        """Return a recommender for another catalogue; everything that depends on the catalogue is already computed.

        Returns
        -------
        Recommender
            The same model for that catalogue. This recommender stays as fast as before for its own catalogue.
        """
        other = copy(self)
        other._allowed(catalogue)
        return other

    def _history(self, recent: Sequence[RecentInteraction], now: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        weights: dict[int, float] = {}
        for each in recent:
            row = self._index.get(each.item)
            if row is not None and each.weight > 0:
                faded = each.weight * decay(now - each.at, self.model.hyperparameters.half_life)
                weights[row] = weights.get(row, 0.0) + faded
        rows = np.fromiter(weights, np.intp, len(weights))
        return rows, confidence_of(np.fromiter(weights.values(), np.float64, len(weights)))

    def _popular(self, allowed: NDArray[np.bool_], k: int) -> list[Recommendation]:
        best = self._by_popularity[allowed[self._by_popularity]][:k]
        return [
            Recommendation(self.model.items[row], float(self.model.popularity[row]), self._without_taste(row))
            for row in best
        ]

    def _allowed(self, catalogue: Catalogue | None) -> NDArray[np.bool_]:
        revision = 0 if catalogue is None else catalogue.revision
        known, at, mask = self._for_sale
        if mask is None or known is not catalogue or at != revision:
            sells = (True if catalogue is None else catalogue.sells(item) for item in self.model.items)
            mask = np.fromiter(sells, np.bool_, len(self.model.items))
            self._for_sale = (catalogue, revision, mask)
            # Without a catalogue, no items exist besides those that the model knows.
            self._unknown = ()
            if catalogue is not None and catalogue.imported:
                unknown = [item for item in reversed(catalogue.ids()) if item not in self._index]
                self._unknown = tuple(item for item in unknown if catalogue.sells(item))
        return mask
