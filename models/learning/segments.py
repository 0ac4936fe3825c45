"""Segments: groups of users that look alike, learned online and named for people.

A running scaler and k-means, both river's. River begins with random centres, of which some never win an example; here
the first examples are held back to place the centres among them (k-means++). Each centre then moves by one over the
number of its examples, down to ``SLOWEST``, so it settles but keeps following its users.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from river.cluster import KMeans
from river.preprocessing import StandardScaler

from models.learning.examples import SegmentExample, require_features
from models.learning.naming import AXES, name_centres
from models.learning.publication import Publication
from models.learning.scaling import Moments, make_scaler, scale, take_moments
from models.learning.sealed import seal, unseal
from models.learning.segment_scorer import SegmentCentres, SegmentScorer

NAME = "segments"
SCHEMA = 1
CLUSTERS = 5
EVERY = 200
"""Examples from one version to the next."""
FIRST = 200
"""Examples that are held back to place the centres; then comes the first version."""
SLOWEST = 0.005
"""The least share of the way to an example that a centre moves."""
STARVED = 5
"""Versions without any example after which a centre is placed anew."""
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


class SegmentLearner:
    """Learns from examples in their order, and publishes a version at exact counts of them.

    Parameters
    ----------
    features
        Names, in the order of a row; the clusters look at those that are in ``AXES``.
    clusters
        How many.
    every, first
        Examples between versions, and before the first one.
    seed
        Of the placing of centres.

    Attributes
    ----------
    examples
        Learned so far.
    newest
        The newest version, ``None`` before the first.

    Raises
    ------
    ValueError
        None of the features is in ``AXES``.

    Examples
    --------
    >>> learner = SegmentLearner(("days_since_last", "orders"), clusters=2, first=20)
    >>> from models.learning.examples import fingerprint
    >>> schema = fingerprint(learner.features)
    >>> for i in range(20):
    ...     row = [0.5 + i / 100, 2.0] if i % 2 else [3.0 + i / 100, 0.0]
    ...     version = learner.learn(SegmentExample(user="u", at=0, schema=schema, row=row))
    >>> [learner.scorer().segment(row) for row in ([0.4, 2.1], [3.1, 0.1])]
    ['frequent big spenders', 'lapsing browsers']
    """

    def __init__(
        self,
        features: Sequence[str],
        *,
        clusters: int = CLUSTERS,
        every: int = EVERY,
        first: int = FIRST,
        seed: int = 7,
    ) -> None:
        self.features = tuple(features)
        self.clusters = clusters
        self.every = every
        self.first = first
        self.seed = seed
        self.examples = 0
        self.newest: Publication | None = None
        self._axes = tuple(self.features.index(axis) for axis in AXES if axis in self.features)
        if not self._axes:
            raise ValueError(f"none of the features is one of {', '.join(AXES)}")
        # Integers, because river sums over a set of the names: the order of strings in a set differs between processes.
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

    def learn(self, example: SegmentExample) -> Publication | None:
        """Learn from one example.

        Returns
        -------
        Publication or None
            The version that this very example completed.

        Raises
        ------
        InvalidEvent
            ``other_features``: its row was made with other features; nothing was learned.
        """
        require_features(example, self.features)
        looked_at = [example.row[axis] for axis in self._axes]
        self._scaler.learn_one(dict(zip(self._inputs, looked_at, strict=True)))
        self.examples += 1
        if self._model is None:
            self._held_back.append(looked_at)
            if self.examples >= self.first:
                self._place()
        else:
            self._follow(self._scaled(looked_at))
        if self._model is None or (self.examples - self.first) % self.every:
            return None
        return self._publish()

    def predict(self, row: Sequence[float]) -> int:
        """Cluster by river's own model; contract tests hold the scorer against it."""
        cluster: int = self._model.predict_one(self._scaled([row[axis] for axis in self._axes]))
        return cluster

    def scorer(self) -> SegmentScorer:
        """Plain numbers of the model as it is now, under the names of the newest version."""
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

    def state(self) -> bytes:
        """Everything, as plain numbers behind a checksum."""
        return seal(
            _State(
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
            ),
            SCHEMA,
        )

    def restore(self, data: bytes) -> None:
        """Go on where :meth:`state` was taken.

        Where this code has other features or another number of clusters, learning starts anew, and versions go on
        counting.

        Raises
        ------
        StateMismatch, StateDamaged
            The bytes cannot be read.
        """
        state = unseal(data, _State, SCHEMA, "segment learner")
        self.newest = state.newest
        if (state.features, state.axes, len(state.counts)) != (self.features, self._axes, self.clusters):
            return
        self.examples = state.examples
        self._scaler = make_scaler(state.moments, self._inputs)
        self._held_back = state.held_back
        self._model = self._make_model(state.centres) if state.centres else None
        self._counts, self._recent, self._empty = state.counts, state.recent, state.empty
        self._names = state.names
        self._far, self._far_weight = state.far, state.far_weight

    def _scaled(self, looked_at: Sequence[float]) -> Point:
        return scale(self._scaler, dict(zip(self._inputs, looked_at, strict=True)))

    def _centres(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(centre[i]) for i in self._inputs) for centre in self._model.centers.values())

    def _make_model(self, centres: Sequence[Sequence[float]]) -> Any:
        model = KMeans(n_clusters=self.clusters, seed=self.seed)
        for own, centre in zip(model.centers.values(), centres, strict=True):
            own.update(zip(self._inputs, centre, strict=True))
        return model

    def _place(self) -> None:
        """Place the centres among the examples held back: the best of several k-means++ starts."""
        points = [self._scaled(looked_at) for looked_at in self._held_back]
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
        # One of the points since the last version, drawn by its distance: a better place for a centre nobody needs.
        self._far_weight += square
        if square > 0.0 and Random(self.seed * 1_000_003 + self.examples).random() * self._far_weight < square:
            self._far = [point[i] for i in self._inputs]

    def _publish(self) -> Publication:
        names = list(self._names)
        for cluster, count in enumerate(self._recent):
            self._empty[cluster] = 0 if count else self._empty[cluster] + 1
            if self._empty[cluster] >= STARVED and self._far is not None:
                self._model.centers[cluster].update(zip(self._inputs, self._far, strict=True))
                self._counts[cluster], self._empty[cluster], names[cluster] = 1, 0, None
                self._far = None
        axes = [self.features[axis] for axis in self._axes]
        self._names = name_centres(axes, self._centres(), names)
        version = 1 if self.newest is None else self.newest.version + 1
        self.newest = Publication(version, self.scorer().encode())
        self._recent = [0] * self.clusters
        self._far, self._far_weight = None, 0.0
        return self.newest


def _spread(points: Sequence[Point], count: int, random: Random) -> list[list[float]]:
    """Choose centres by k-means++ (D. Arthur and S. Vassilvitskii, SODA 2007)."""
    chosen = [random.choice(points)]
    while len(chosen) < count:
        squares = [min(_square(point, centre) for centre in chosen) for point in points]
        # all points may coincide with a centre already: then any will do, and users will pull them apart
        chosen.append(random.choices(points, squares if sum(squares) > 0.0 else None)[0])
    return [list(point.values()) for point in chosen]


def _move(model: Any, counts: list[int], point: Point) -> tuple[int, float]:
    """Move the nearest centre towards a point; returns which one, and its squared distance before."""
    cluster: int = model.predict_one(point)
    square = _square(point, model.centers[cluster])
    counts[cluster] += 1
    model.halflife = max(SLOWEST, 1.0 / counts[cluster])
    model.learn_one(point)
    return cluster, square


def _square(point: Point, centre: Point) -> float:
    return sum((value - centre[i]) ** 2 for i, value in point.items())
