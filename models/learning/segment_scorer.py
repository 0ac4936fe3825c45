"""The published form of the segments: centres in scaled space, each with a readable name."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist

import msgspec

from models.errors import StateMismatch

SCHEMA = 1


class SegmentCentres(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the control record ``use segments@VERSION``.

    Attributes
    ----------
    schema
        Of this struct.
    features
        Names of a whole row, in order.
    axes
        Positions in the row that the clusters look at.
    mean, std
        The scaler's moments, one of each an axis; where ``std`` is 0 the axis counts as 0.
    centres
        In scaled space: one list a cluster, one number an axis.
    names
        One a cluster, unique.
    sizes
        Share of the examples since the last version that fell into each cluster.
    examples
        Learned so far.
    """

    schema: int = SCHEMA
    features: tuple[str, ...]
    axes: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    sizes: tuple[float, ...] = ()
    examples: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SegmentCentres)


class SegmentScorer:
    """Which segment a user is in: the nearest centre.

    Parameters
    ----------
    model
        The numbers.

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

    __slots__ = ("_axes", "_centres", "features", "model", "names")

    def __init__(self, model: SegmentCentres) -> None:
        self.model = model
        self.features = model.features
        self.names = model.names
        scales = (1.0 / s if s > 0.0 else 0.0 for s in model.std)
        self._axes = tuple(zip(model.axes, model.mean, scales, strict=True))
        self._centres = model.centres

    @classmethod
    def decode(cls, content: bytes | msgspec.Raw) -> SegmentScorer:
        """Read the content of a ``use`` record.

        Raises
        ------
        StateMismatch
            Another schema version wrote it.
        msgspec.DecodeError
            It is no such content.
        """
        model = _decoder.decode(content)
        if model.schema != SCHEMA:
            raise StateMismatch("segment scorer", model.schema, SCHEMA)
        if (
            not len(model.axes) == len(model.mean) == len(model.std)
            or not len(model.centres) == len(model.names) > 0
            or any(len(centre) != len(model.axes) for centre in model.centres)
            or any(not 0 <= axis < len(model.features) for axis in model.axes)
        ):
            raise msgspec.ValidationError("axes, moments, centres and names do not fit each other")
        return cls(model)

    def encode(self) -> bytes:
        """JSON, exact to the last bit; the content of a ``use`` record."""
        return _encoder.encode(self.model)

    def fits(self, features: Sequence[str]) -> bool:
        """Whether rows of these features are what it places; where not, nobody moves until a newer version."""
        return self.features == tuple(features)

    def distances(self, row: Sequence[float]) -> list[float]:
        """Distance to each centre, in scaled space."""
        point = [(row[axis] - mean) * scale for axis, mean, scale in self._axes]
        return [dist(centre, point) for centre in self._centres]

    def cluster(self, row: Sequence[float]) -> int:
        """Give the number of the nearest centre, the lower one of two equally near."""
        distances = self.distances(row)
        return distances.index(min(distances))

    def segment(self, row: Sequence[float]) -> str:
        """Name of the segment of one row in the order of ``features``."""
        return self.names[self.cluster(row)]
