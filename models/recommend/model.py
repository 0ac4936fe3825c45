"""A trained factor model as plain arrays, and its published form: a safetensors file with a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.errors import PerennialError, StateMismatch
from models.units import DAY

SCHEMA = 1
BARE_RIDGE = 4.0
"""Ridge of a user without interactions: lambda * alpha_0 * items; see :meth:`Hyperparameters.scaled_to`."""
PER_DENSITY = 20.0
"""Ratio of alpha_0 to the density of the matrix; see :meth:`Hyperparameters.scaled_to`."""
MIN_UNOBSERVED = 0.001
"""Minimum of alpha_0 for very sparse matrices."""
MAX_REGULARIZATION = 0.1
"""Maximum of lambda for small matrices."""


class DamagedArtifact(PerennialError):
    """An artifact differs from the published one. The model in use is kept."""


class Hyperparameters(msgspec.Struct, frozen=True, kw_only=True):
    """Hyperparameters of the model, with the symbols of the paper (Rendle and others, 2021).

    Attributes
    ----------
    dimensions
        Length of a factor vector, at least 1.
    unobserved
        Alpha_0, the weight of pairs that were not observed, above 0. For sparse matrices it is reduced.
    regularization
        Lambda, the strength of the regularization, above 0. It is replaced when the model is scaled to its data.
    exponent
        Nu, 0 to 1. With 1 the regularization grows with the frequency of a user or item; with 0 it is equal for all.
    epochs
        Number of sweeps over users and items.
    half_life
        Age at which an interaction counts half, milliseconds. With 0 all count the same.
    trend
        Score that is added to the most popular item; less popular items get less. For comparison: without it, an item
        that a user certainly likes has a score of about 1.
    trend_half_life
        Half-life of popularity, milliseconds. Popularity decides the trend, and what users without interactions are
        recommended.
    seed
        Seed of the initial factors.

    References
    ----------
    S. Rendle, W. Krichene, L. Zhang, Y. Koren, "Revisiting the performance of iALS on item recommendation
    benchmarks", RecSys 2022 (arXiv:2110.14037).
    """

    dimensions: int = 64
    unobserved: float = 0.1
    regularization: float = 0.03
    exponent: float = 1.0
    epochs: int = 10
    half_life: int = 30 * DAY
    trend: float = 0.2
    trend_half_life: int = 7 * DAY
    seed: int = 7

    def scaled_to(self, users: int, items: int, observed: int) -> Hyperparameters:
        """Return hyperparameters for a matrix of this size and number of observed pairs.

        Good values that were published for matrices of very different size have two things in common:

        - alpha_0 is about 20 times the density. MovieLens 20M has alpha_0 0.1 and density 0.5 %; Million Songs has 0.02
          and 0.14 %. For Gowalla, with density 0.07 %, we measured that 0.01 is good.
        - lambda * alpha_0 * items is about 4. That is the ridge of a user without interactions.

        The result's ``unobserved`` is at most the ``unobserved`` of this object. For a dense matrix the two are equal.

        Parameters
        ----------
        users, items
            Shape of the matrix.
        observed
            Number of pairs that were observed.

        Examples
        --------
        >>> scaled = Hyperparameters().scaled_to(users=30_000, items=40_000, observed=600_000)
        >>> scaled.unobserved, scaled.regularization
        (0.01, 0.01)
        """
        density = observed / max(users * items, 1)
        unobserved = min(self.unobserved, max(PER_DENSITY * density, MIN_UNOBSERVED))
        ridge = BARE_RIDGE / (unobserved * max(items, 1))
        return msgspec.structs.replace(self, unobserved=unobserved, regularization=min(ridge, MAX_REGULARIZATION))


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """Item factors, and everything else that serving needs.

    Attributes
    ----------
    items
        Item ids; row ``i`` of every array belongs to ``items[i]``.
    factors
        float32 of shape ``(items, dimensions)``.
    gram
        ``factors.T @ factors``, float32 of shape ``(dimensions, dimensions)``.
    popularity
        Sum of the weights of each item's interactions, decayed by ``trend_half_life``, float32 of shape ``(items,)``.
    hyperparameters
        Hyperparameters of the training.
    trained_until
        Time of the newest interaction in the training data, milliseconds.
    facts
        Other facts about the training, such as counts and metrics; JSON types.
    """

    items: tuple[str, ...]
    factors: NDArray[np.float32]
    gram: NDArray[np.float32]
    popularity: NDArray[np.float32]
    hyperparameters: Hyperparameters
    trained_until: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        """Whether all numbers of the model are finite."""
        return all(bool(np.isfinite(array).all()) for array in (self.factors, self.gram, self.popularity))


def model_of(
    items: Sequence[str],
    factors: NDArray[np.float32],
    popularity: NDArray[np.float32],
    hyperparameters: Hyperparameters,
    *,
    trained_until: int = 0,
    facts: dict[str, Any] | None = None,
) -> FactorModel:
    """Make a model from trained factors.

    Parameters
    ----------
    items
        Item ids, in the order of the rows.
    factors
        float32 of shape ``(items, dimensions)``.
    popularity
        float32 of shape ``(items,)``.
    hyperparameters
        Hyperparameters of the training.
    trained_until
        Time of the newest interaction in the training data, milliseconds.
    facts
        Other facts about the training; JSON types.
    """
    factors = np.ascontiguousarray(factors, np.float32)
    return FactorModel(
        items=tuple(items),
        factors=factors,
        gram=factors.T @ factors,
        popularity=np.ascontiguousarray(popularity, np.float32),
        hyperparameters=hyperparameters,
        trained_until=trained_until,
        facts=facts or {},
    )


def checksum(data: bytes) -> str:
    """Return the SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def pack_model(model: FactorModel) -> bytes:
    """Return a model as the bytes of a safetensors file.

    Examples
    --------
    >>> model = model_of(["mug"], np.ones((1, 2), np.float32), np.ones(1, np.float32), Hyperparameters(dimensions=2))
    >>> unpack_model(pack_model(model)).items
    ('mug',)
    """
    ids = [item.encode() for item in model.items]
    ends = np.cumsum([len(item) for item in ids], dtype=np.int64)
    tensors = {
        "factors": model.factors,
        "gram": model.gram,
        "popularity": model.popularity,
        "item_bytes": np.frombuffer(b"".join(ids), np.uint8),
        "item_ends": ends,
    }
    metadata = {
        "schema": str(SCHEMA),
        "hyperparameters": msgspec.json.encode(model.hyperparameters).decode(),
        "trained_until": str(model.trained_until),
        "facts": json.dumps(model.facts, sort_keys=True),
    }
    packed: bytes = save(tensors, metadata)
    return packed


def unpack_model(data: bytes, sha256: str | None = None) -> FactorModel:
    """Read what :func:`pack_model` wrote.

    Parameters
    ----------
    data
        Bytes of the file.
    sha256
        Published checksum; ``None`` skips that check.

    Raises
    ------
    DamagedArtifact
        The checksum differs, or the bytes are not a model, or a number is not finite.
    StateMismatch
        Another schema version wrote it.
    """
    if sha256 is not None and checksum(data) != sha256:
        raise DamagedArtifact(f"checksum is {checksum(data)[:12]}..., published was {sha256[:12]}...")
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        schema = int(metadata["schema"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedArtifact(f"not a model: {error}") from error
    if schema != SCHEMA:
        raise StateMismatch("recommender artifact", schema, SCHEMA)
    try:
        ends = tensors["item_ends"].tolist()
        text = tensors["item_bytes"].tobytes()
        items = tuple(text[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=True))
        model = FactorModel(
            items=items,
            factors=tensors["factors"],
            gram=tensors["gram"],
            popularity=tensors["popularity"],
            hyperparameters=msgspec.json.decode(metadata["hyperparameters"], type=Hyperparameters),
            trained_until=int(metadata["trained_until"]),
            facts=json.loads(metadata["facts"]),
        )
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        raise DamagedArtifact(f"not a model: {error}") from error
    count, dimensions = model.factors.shape
    if (len(items), count) != (len(model.popularity),) * 2 or model.gram.shape != (dimensions, dimensions):
        raise DamagedArtifact(f"shapes disagree: {len(items)} items, factors {model.factors.shape}")
    if not model.finite:
        raise DamagedArtifact("it holds numbers that are not finite")
    return model
