"""The segment model: it learns online which users behave alike, and gives each group a name for people.

The model has two parts, both from river: a running scaler and k-means. River starts from random centres, and some of
them are never the nearest centre of an example. Here, the first examples are held back, and the centres are placed
among them (k-means++). Each example then moves its centre towards itself: the n-th example of a centre by 1/n of the
way, but by at least ``MIN_STEP``. So a centre becomes steady, but still follows its users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec
from river.cluster import KMeans
from river.preprocessing import StandardScaler

from models.learning.examples import SegmentExample
from models.learning.learner import VersionedLearner
from models.learning.naming import AXES, name_centres
from models.learning.publication import Publication
from models.learning.scaling import Moments, make_scaler, scale, take_moments
from models.learning.segment_scorer import SegmentCentres, SegmentScorer

NAME = "segments"
SCHEMA = 1
CLUSTERS = 5
EVERY = 200
"""Number of examples between two versions."""
FIRST = 200
"""Number of examples that are held back to place the centres; the first version follows them."""
MIN_STEP = 0.005
"""Minimum share of the way to an example that a centre moves, 0 to 1."""
MAX_EMPTY_VERSIONS = 5
"""Maximum number of consecutive versions for which a centre may have no example; then the centre is placed again."""
_STARTS, _PASSES = 8, 3

Point = dict[int, float]


class _State(msgspec.Struct, array_like=True):
    features: tuple[str, ...]
    axes: tuple[int, ...]
    examples: int
    moments: Moments
    held_back: list[list[float]]
    centres: tuple[tuple[float, ...], ...]
    counts: list[int]
    recent: list[int]
    empty: list[int]
    names: tuple[str | None, ...]
    far: list[float] | None
    far_weight: float
    newest: Publication | None


class SegmentLearner(VersionedLearner[SegmentExample, _State]):
    """A k-means clustering that learns from examples in their order.

    It publishes a version at exact counts of examples.

    Parameters
    ----------
    features
        Names of a row's values, in the order of the row. The clusters use those that are in ``AXES``.
    clusters
        Number of clusters, at least 1.
    every
        Number of examples between two versions, at least 1.
    first
        Number of examples before the first version, at least 1.
    seed
        Seed for placing the centres.

    Attributes
    ----------
    examples
        Number of examples learned so far.
    newest
        The newest version, or ``None`` before the first.

    Raises
    ------
    ValueError
        None of the features is in ``AXES``.

    References
    ----------
    D. Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> learner = SegmentLearner(("days_since_last", "orders"), clusters=2, first=20)
    >>> from models.learning.examples import fingerprint
    >>> schema = fingerprint(learner.features)
    >>> for i in range(20):
    ...     row = [0.5 + i / 100, 2.0] if i % 2 else [3.0 + i / 100, 0.0]
    ...     version = learner.learn_one(SegmentExample(user="u", at=0, schema=schema, row=row))
    >>> [learner.scorer().segment(row) for row in ([0.4, 2.1], [3.1, 0.1])]
    ['frequent big spenders', 'lapsing browsers']
    """

    SCHEMA = SCHEMA
    LABEL = "segment learner"
    STATE = _State

    def __init__(
        self,
        features: Sequence[str],
        *,
        clusters: int = CLUSTERS,
        every: int = EVERY,
        first: int = FIRST,
        seed: int = 7,
    ) -> None:
        super().__init__(features, every=every, first=first)
        self.clusters = clusters
        self.seed = seed
        self._axes = tuple(self.features.index(axis) for axis in AXES if axis in self.features)
        if not self._axes:
            raise ValueError(f"none of the features is one of {', '.join(AXES)}")
        # Inputs have integers as names, because river adds floats in the order of a set of the names. For strings, this
        # order differs by process, and so would the rounding.
        self._inputs = tuple(range(len(self._axes)))
        self._scaler = StandardScaler()
        self._held_back: list[list[float]] = []
        self._model: Any = None
        self._counts = [0] * clusters
        self._recent = [0] * clusters
        self._empty = [0] * clusters
        self._names: tuple[str | None, ...] = (None,) * clusters
        self._far: list[float] | None = None
        self._far_weight = 0.0

    def parameters(self) -> Mapping[str, Any]:
        """Return the constructor's keyword arguments."""
        return {"clusters": self.clusters, **super().parameters(), "seed": self.seed}

    def predict_one(self, row: Sequence[float]) -> int:
        """Return the number of the cluster from river's model."""
        cluster: int = self._model.predict_one(self._scaled([row[axis] for axis in self._axes]))
        return cluster

    def distances(self, row: Sequence[float]) -> list[float]:
        """Return the distance from one row to each centre of river's model, in scaled space."""
        point = self._scaled([row[axis] for axis in self._axes])
        return [_square(point, centre) ** 0.5 for centre in self._model.centers.values()]

    def scorer(self) -> SegmentScorer:
        """Return the plain numbers of the model as it is now, with the names of the newest version."""
        moments = take_moments(self._scaler, self._inputs)
        counted = sum(self._recent)
        return SegmentScorer(
            SegmentCentres(
                features=self.features,
                axes=self._axes,
                mean=moments.mean,
                std=moments.std,
                centres=self._centres(),
                names=tuple(name or f"segment {i + 1}" for i, name in enumerate(self._names)),
                sizes=tuple(n / counted for n in self._recent) if counted else (),
                examples=self.examples,
            )
        )

    def _learn(self, example: SegmentExample) -> None:
        values = [example.row[axis] for axis in self._axes]
        self._scaler.learn_one(dict(zip(self._inputs, values, strict=True)))
        if self._model is not None:
            self._follow(self._scaled(values))
            return
        self._held_back.append(values)
        if self.examples >= self.first:
            self._place()

    def _save(self) -> _State:
        return _State(
            features=self.features,
            axes=self._axes,
            examples=self.examples,
            moments=take_moments(self._scaler, self._inputs),
            held_back=self._held_back,
            centres=() if self._model is None else self._centres(),
            counts=self._counts,
            recent=self._recent,
            empty=self._empty,
            names=self._names,
            far=self._far,
            far_weight=self._far_weight,
            newest=self.newest,
        )

    def _is_own(self, state: _State) -> bool:
        own = (self.features, self._axes, self.clusters)
        return (state.features, state.axes, len(state.counts)) == own

    def _load(self, state: _State) -> None:
        self._scaler = make_scaler(state.moments, self._inputs)
        self._held_back = state.held_back
        self._model = self._make_model(state.centres) if state.centres else None
        self._counts, self._recent, self._empty = state.counts, state.recent, state.empty
        self._names = state.names
        self._far, self._far_weight = state.far, state.far_weight

    def _scaled(self, values: Sequence[float]) -> Point:
        return scale(self._scaler, dict(zip(self._inputs, values, strict=True)))

    def _centres(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(centre[i]) for i in self._inputs) for centre in self._model.centers.values())

    def _make_model(self, centres: Sequence[Sequence[float]]) -> Any:
        model = KMeans(n_clusters=self.clusters, seed=self.seed)
        for own, centre in zip(model.centers.values(), centres, strict=True):
            own.update(zip(self._inputs, centre, strict=True))
        return model

    def _place(self) -> None:
        """Place the centres among the examples held back, and keep the best of several k-means++ starts."""
        points = [self._scaled(values) for values in self._held_back]
        random = Random(self.seed)
        best = float("inf")
        for _ in range(_STARTS):
            model, counts = self._make_model(_spread(points, self.clusters, random)), [1] * self.clusters
            for _ in range(_PASSES):
                for point in points:
                    _move(model, counts, point)
            spread = sum(_square(point, model.centers[model.predict_one(point)]) for point in points)
            if spread < best:
                best, self._model, self._counts = spread, model, counts
        self._held_back = []
        for point in points:
            self._recent[self._model.predict_one(point)] += 1

    def _follow(self, point: Point) -> None:
        cluster, square = _move(self._model, self._counts, point)
        self._recent[cluster] += 1
        # Of the points since the last version, keep one, drawn with a probability proportional to its squared distance.
        # An unused centre is placed at this point.
        self._far_weight += square
        if square > 0.0 and Random(self.seed * 1_000_003 + self.examples).random() * self._far_weight < square:
            self._far = [point[i] for i in self._inputs]

    def _publish(self) -> Publication:
        names = list(self._names)
        for cluster, count in enumerate(self._recent):
            self._empty[cluster] = 0 if count else self._empty[cluster] + 1
            if self._empty[cluster] >= MAX_EMPTY_VERSIONS and self._far is not None:
                self._model.centers[cluster].update(zip(self._inputs, self._far, strict=True))
                self._counts[cluster], self._empty[cluster], names[cluster] = 1, 0, None
                self._far = None
        axes = [self.features[axis] for axis in self._axes]
        self._names = name_centres(axes, self._centres(), names)
        published = super()._publish()
        self._recent = [0] * self.clusters
        self._far, self._far_weight = None, 0.0
        return published


def _spread(points: Sequence[Point], count: int, random: Random) -> list[list[float]]:
    """Choose centres among the points by k-means++ (D. Arthur and S. Vassilvitskii, SODA 2007)."""
    chosen = [random.choice(points)]
    while len(chosen) < count:
        squares = [min(_square(point, centre) for centre in chosen) for point in points]
        # All points may coincide with centres already. Then any point is good enough, because later users move the
        # centres apart.
        chosen.append(random.choices(points, squares if sum(squares) > 0.0 else None)[0])
    return [list(point.values()) for point in chosen]


def _move(model: Any, counts: list[int], point: Point) -> tuple[int, float]:
    """Move the nearest centre towards a point; return its number, and its squared distance before the move."""
    cluster: int = model.predict_one(point)
    square = _square(point, model.centers[cluster])
    counts[cluster] += 1
    model.halflife = max(MIN_STEP, 1.0 / counts[cluster])
    model.learn_one(point)
    return cluster, square


def _square(point: Point, centre: Point) -> float:
    return sum((value - centre[i]) ** 2 for i, value in point.items())
