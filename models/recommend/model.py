"""A trained factor model as plain arrays, and the bytes it travels in: a safetensors file with a checksum."""

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
PER_DENSITY = 20.0
LEAST_UNOBSERVED = 0.001
LARGEST_REGULARIZATION = 0.1


class DamagedArtifact(PerennialError):
    """An artifact is not what was published: keep the one in use."""


class Hyperparameters(msgspec.Struct, frozen=True, kw_only=True):
    """What shapes the model; names as in the paper.

    Attributes
    ----------
    dimensions
        Length of a factor.
    unobserved
        Alpha_0: weight of everything that was not observed.
    regularization
        Lambda.
    exponent
        Nu: 1 regularizes by frequency, 0 everybody alike.
    epochs
        Sweeps over users and items.
    half_life
        Milliseconds after which an interaction counts half; 0: all count alike.
    trend
        What the most popular item of the moment gains in score; a sure like is a score of about 1.
    trend_half_life
        Half-life of popularity, milliseconds: what strangers get, and the trend.
    seed
        Of the first factors.

    References
    ----------
    Rendle, Krichene, Zhang, Koren: Revisiting the Performance of iALS on Item Recommendation Benchmarks, 2021
    (arXiv:2110.14037).
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
        """Scale to a matrix of so many users and items, of which so many pairs were observed.

        What good values published for matrices of very different size have in common: alpha_0 is about 20 times the
        density (MovieLens 20M: 0.1 at 0.5 %, Million Songs: 0.02 at 0.14 %; here, Gowalla: 0.01 at 0.07 %), and
        lambda * alpha_0 * items, the ridge under a user of whom nothing is known, is about 4. What stands in
        ``unobserved`` is the most it gets, for dense matrices.

        Examples
        --------
        >>> scaled = Hyperparameters().scaled_to(users=30_000, items=40_000, observed=600_000)
        >>> scaled.unobserved, scaled.regularization
        (0.01, 0.01)
        """
        density = observed / max(users * items, 1)
        unobserved = min(self.unobserved, max(PER_DENSITY * density, LEAST_UNOBSERVED))
        ridge = BARE_RIDGE / (unobserved * max(items, 1))
        return msgspec.structs.replace(self, unobserved=unobserved, regularization=min(ridge, LARGEST_REGULARIZATION))


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """Item factors and what serving needs beside them.

    Attributes
    ----------
    items
        Ids; row ``i`` of every array belongs to ``items[i]``.
    factors
        float32 of shape (items, dimensions).
    gram
        ``factors.T @ factors``, float32 of shape (dimensions, dimensions).
    popularity
        Weight of all interactions with each item, decayed by ``trend_half_life``, float32.
    hyperparameters
        What it was trained with.
    trained_until
        Time of the newest interaction it has seen, milliseconds.
    facts
        What else is worth knowing: counts, metrics. JSON types.
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
        """Whether every number of it is one."""
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
    """Make a model from trained factors."""
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
    """SHA-256, as hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack_model(model: FactorModel) -> bytes:
    """Safetensors bytes of a model.

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
        The file's bytes.
    sha256
        What was published; ``None`` checks nothing.

    Raises
    ------
    DamagedArtifact
        The checksum differs, or it is no model, or it holds what is no number.
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
        raise DamagedArtifact("it holds what is no number")
    return model
