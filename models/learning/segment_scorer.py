"""The published form of the segments: centres in scaled space, each with a readable name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import sqrt
from operator import add, mul, sub

import msgspec
import numpy as np

from models.exact_math import Floats
from models.learning.learner import JsonScorer, ModelContent

SCHEMA = 1


class SegmentCentres(ModelContent, frozen=True, kw_only=True):
    """Content of the control record ``use segments@VERSION``.

    Attributes
    ----------
    schema
        Version of this form.
    features
        Names of a whole row's values, in the order of the row.
    axes
        Positions, in the row, of the features that the clusters use.
    mean, std
        Mean and standard deviation of each axis, shape ``(axes,)``. An axis whose ``std`` is 0 counts as 0.
    centres
        Centres in scaled space, shape ``(clusters, axes)``.
    names
        Names of the clusters, all different.
    sizes
        For each cluster, its share of the examples that came after the previous version, 0 to 1.
    examples
        Number of examples learned so far.
    """

    axes: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    sizes: tuple[float, ...] = ()
    examples: int = 0


class SegmentScorer(JsonScorer[SegmentCentres]):
    """A scorer that assigns a user to a segment: the cluster with the nearest centre.

    Parameters
    ----------
    model
        The published numbers.

    Attributes
    ----------
    names
        Names of the clusters.
    numbers
        Number of each cluster by its name.

    Examples
    --------
    >>> scorer = SegmentScorer(
    ...     SegmentCentres(
    ...         features=("recency", "orders"),
    ...         axes=(0, 1),
    ...         mean=(0.0, 0.0),
    ...         std=(1.0, 2.0),
    ...         centres=((-1.0, 1.0), (1.0, -1.0)),
    ...         names=("regulars", "dormant"),
    ...     )
    ... )
    >>> scorer.segment([0.9, 0.3])
    'dormant'
    """

    SCHEMA = SCHEMA
    LABEL = "segment scorer"
    CONTENT = SegmentCentres

    __slots__ = ("_axes", "_by_axis", "_centres", "_means", "_places", "_scales", "names", "numbers")

    def __init__(self, model: SegmentCentres) -> None:
        super().__init__(model)
        self.names = model.names
        self.numbers = {name: number for number, name in enumerate(model.names)}
        scales = (1.0 / s if s > 0.0 else 0.0 for s in model.std)
        self._axes = tuple(zip(model.axes, model.mean, scales, strict=True))
        self._centres = model.centres
        self._by_axis = np.array(model.centres).T[:, :, None]
        self._places = np.array(model.axes, dtype=np.intp)
        self._means = np.array(model.mean)[:, None]
        self._scales = np.array([scale for _, _, scale in self._axes])[:, None]

    def distances(self, row: Sequence[float]) -> list[float]:
        """Return the distance from one row to each centre, in scaled space."""
        return [sqrt(square) for square in self._squares(row)]

    def predict_one(self, row: Sequence[float]) -> int:
        """Return the number of the nearest centre; if two centres are equally near, return the lower number."""
        squares = self._squares(row)
        return squares.index(min(squares))

    def predict(self, columns: Floats) -> list[int]:
        """Return the numbers of the nearest centres of many rows, which are those of :meth:`predict_one`.

        Parameters
        ----------
        columns
            A line for each value of a row, shape ``(features, rows)``.
        """
        if not self._axes:
            return [0] * columns.shape[1]
        apart = ((columns[self._places] - self._means) * self._scales)[:, None, :] - self._by_axis
        squares = np.add.accumulate(apart * apart, axis=0)[-1]  # unlike a sum, it has one order
        nearest: list[int] = squares.argmin(axis=0).tolist()
        return nearest

    def segment(self, row: Sequence[float]) -> str:
        """Return the name of the segment of one row in the order of ``features``."""
        return self.names[self.predict_one(row)]

    def _squares(self, row: Sequence[float]) -> list[float]:
        """Return the square of the distance to each centre: a sum over the axes in their order."""
        point = [(row[axis] - mean) * scale for axis, mean, scale in self._axes]
        squares = []
        for centre in self._centres:
            apart = list(map(sub, point, centre))
            squares.append(reduce(add, map(mul, apart, apart), 0.0))
        return squares

    @staticmethod
    def _require_consistent(model: SegmentCentres) -> None:
        if (
            not len(model.axes) == len(model.mean) == len(model.std)
            or not len(model.centres) == len(model.names) > 0
            or any(len(centre) != len(model.axes) for centre in model.centres)
            or any(not 0 <= axis < len(model.features) for axis in model.axes)
        ):
            raise msgspec.ValidationError("axes, moments, centres and names do not fit each other")
