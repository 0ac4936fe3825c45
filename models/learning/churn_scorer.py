"""The published form of the churn model: plain numbers that score one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum
from operator import mul

import msgspec

from models.errors import StateMismatch
from models.learning.phrases import describe

SCHEMA = 1
TOLD = 3
"""How many reasons are told at most."""
LEAST = 0.05
"""Log-odds that a feature must have pushed to be told."""


class Hinge(msgspec.Struct, array_like=True, frozen=True):
    """An input ``max(0, feature - knot)``: lets a linear model bend.

    Attributes
    ----------
    feature
        Position in the row.
    knot
        In the feature's own scale.
    """

    feature: int
    knot: float


class ChurnWeights(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the control record ``use churn@VERSION``.

    The model's inputs are the features of a row, then the hinges.

    Attributes
    ----------
    schema
        Of this struct.
    features
        Names, in the order of a row.
    hinges
        Inputs besides the features.
    mean, std
        The scaler's moments, one of each an input; where ``std`` is 0 the input counts as 0.
    weights, intercept
        Of the logistic regression on scaled inputs.
    examples
        Labelled examples learned so far.
    quality
        Figures of the issued probabilities, see :meth:`models.learning.prequential.Prequential.figures`.
    """

    schema: int = SCHEMA
    features: tuple[str, ...]
    hinges: tuple[Hinge, ...] = ()
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    examples: int = 0
    quality: dict[str, int | float | None] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ChurnWeights)


class ChurnScorer:
    """Probability that a user will not come back within the horizon.

    A row is scored alone, by an exactly rounded sum (``math.fsum``), so the result depends neither on what is scored
    beside it nor on the machine's vector units.

    Parameters
    ----------
    model
        The numbers.

    Examples
    --------
    >>> scorer = ChurnScorer(
    ...     ChurnWeights(features=("days_since_last",), mean=(1.0,), std=(0.5,), weights=(2.0,), intercept=0.0)
    ... )
    >>> round(scorer.score([1.5]), 3)
    0.881
    >>> scorer.reasons([3.0])
    ('no visit for 19 days',)
    """

    __slots__ = ("_coefficients", "_constant", "_hinges", "_scales", "features", "model")

    def __init__(self, model: ChurnWeights) -> None:
        self.model = model
        self.features = model.features
        self._hinges = tuple((hinge.feature, hinge.knot) for hinge in model.hinges)
        self._scales = tuple(1.0 / std if std > 0.0 else 0.0 for std in model.std)
        self._coefficients = tuple(map(mul, model.weights, self._scales))
        self._constant = model.intercept - fsum(map(mul, self._coefficients, model.mean))

    @classmethod
    def decode(cls, content: bytes | msgspec.Raw) -> ChurnScorer:
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
            raise StateMismatch("churn scorer", model.schema, SCHEMA)
        inputs = len(model.features) + len(model.hinges)
        if not inputs == len(model.mean) == len(model.std) == len(model.weights):
            raise msgspec.ValidationError("inputs, mean, std and weights differ in length")
        if any(not 0 <= hinge.feature < len(model.features) for hinge in model.hinges):
            raise msgspec.ValidationError("a hinge stands on no feature")
        return cls(model)

    def encode(self) -> bytes:
        """JSON, exact to the last bit; the content of a ``use`` record."""
        return _encoder.encode(self.model)

    def fits(self, features: Sequence[str]) -> bool:
        """Whether rows of these features are what it scores; where not, there is no score until a newer version."""
        return self.features == tuple(features)

    def score(self, row: Sequence[float]) -> float:
        """Probability of churn, within 0 and 1, of one row in the order of ``features``."""
        logit = fsum(map(mul, self._coefficients, bend(row, self._hinges))) + self._constant
        if logit >= 0.0:
            return 1.0 / (1.0 + exp(-logit))
        odds = exp(logit)
        return odds / (1.0 + odds)

    def contributions(self, row: Sequence[float]) -> list[float]:
        """How much each feature moved the log-odds, compared with the population's mean value of it."""
        inputs = bend(row, self._hinges)
        moved = [c * (x - m) for c, x, m in zip(self._coefficients, inputs, self.model.mean, strict=True)]
        known = len(self.features)
        for (feature, _), more in zip(self._hinges, moved[known:], strict=True):
            moved[feature] += more
        return moved[:known]

    def reasons(self, row: Sequence[float], most: int = TOLD) -> tuple[str, ...]:
        """Say what pushed the risk up most, strongest first, for people; empty where nothing did."""
        moved = self.contributions(row)
        pushed = sorted((i for i, c in enumerate(moved) if c >= LEAST), key=lambda i: (-moved[i], i))
        told: list[str] = []
        for i in pushed:
            text = describe(self.features[i], row[i], (row[i] - self.model.mean[i]) * self._scales[i])
            if text not in told:
                told.append(text)
            if len(told) == most:
                break
        return tuple(told)


def bend(row: Sequence[float], hinges: Sequence[tuple[int, float]]) -> list[float]:
    """Give the inputs of the model: the row, then its hinges.

    Examples
    --------
    >>> bend([3.0, 1.0], [(0, 2.0), (1, 2.0)])
    [3.0, 1.0, 1.0, 0.0]
    """
    return [*row, *[x - knot if (x := row[i]) > knot else 0.0 for i, knot in hinges]]
