"""Training examples: the values of the topics ``examples.churn`` and ``examples.segments``.

The fold writes them and the learners read them. An example carries the fingerprint of the feature names of its row. So
a learner can refuse a row that was made with other features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated

import msgspec

from models.errors import InvalidEvent

CHURN_TOPIC = "examples.churn"
SEGMENTS_TOPIC = "examples.segments"
MAX_VALUE = 1e6
"""Maximum absolute value in a row; real rows stay far below, because counts and money enter as logarithms."""

_Row = list[float]
_Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class ChurnExample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One user at one moment, with the label: whether they came back within the horizon.

    Attributes
    ----------
    user
        Id of the user.
    at, due
        Time of the row and time at which the label was final, milliseconds since the epoch.
    schema
        :func:`fingerprint` of the feature names of ``row``.
    row
        Features of the user at ``at``, shape ``(features,)``.
    risk, version
        Probability issued at ``at``, 0 to 1, and the version that issued it. ``None`` and 0 before the first version.
    churned
        Whether there was no activity after ``at`` and until ``due``.
    """

    user: str
    at: int
    due: int
    schema: str
    row: _Row
    risk: _Probability | None = None
    version: Annotated[int, msgspec.Meta(ge=0)] = 0
    churned: bool


class SegmentExample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One user at one moment.

    Attributes
    ----------
    user
        Id of the user.
    at
        Time of the row, milliseconds since the epoch.
    schema
        :func:`fingerprint` of the feature names of ``row``.
    row
        Features of the user at ``at``, shape ``(features,)``.
    """

    user: str
    at: int
    schema: str
    row: _Row


_encoder = msgspec.json.Encoder()
_churn = msgspec.json.Decoder(ChurnExample)
_segment = msgspec.json.Decoder(SegmentExample)


@lru_cache(maxsize=64)
def _digest(names: tuple[str, ...]) -> str:
    return blake2b("\n".join(names).encode(), digest_size=8).hexdigest()


def fingerprint(names: Sequence[str]) -> str:
    """Return sixteen hexadecimal digits that identify these names in this order.

    Examples
    --------
    >>> fingerprint(("recency", "orders"))
    '2358f8caad2a93db'
    >>> fingerprint(("recency", "orders")) == fingerprint(("orders", "recency"))
    False
    """
    return _digest(tuple(names))


def encode_example(example: ChurnExample | SegmentExample) -> bytes:
    """Return an example as JSON.

    Examples
    --------
    >>> encode_example(SegmentExample(user="u1", at=5, schema="s", row=[1.5]))
    b'{"user":"u1","at":5,"schema":"s","row":[1.5]}'
    """
    return _encoder.encode(example)


def decode_churn(value: bytes | None) -> ChurnExample:
    """Read a record of ``examples.churn``.

    Raises
    ------
    InvalidEvent
        ``bad_example``: the record is not an example, or its row has a number beyond :data:`MAX_VALUE`.
    """
    try:
        example = _churn.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad("", str(error)) from error
    _check(example.row)
    if (example.risk is None) != (example.version == 0):
        raise _bad("version", str(example.version))
    return example


def decode_segment(value: bytes | None) -> SegmentExample:
    """Read a record of ``examples.segments``; errors are those of :func:`decode_churn`."""
    try:
        example = _segment.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad("", str(error)) from error
    _check(example.row)
    return example


def require_features(example: ChurnExample | SegmentExample, features: Sequence[str]) -> None:
    """Raise :class:`InvalidEvent` (``other_features``) if an example's row was made with other features."""
    schema = fingerprint(features)
    if example.schema != schema or len(example.row) != len(features):
        raise InvalidEvent("other_features", "schema", example.schema, f"{schema}, the features of this code")


def _check(row: Sequence[float]) -> None:
    for number, value in enumerate(row):
        # A single huge value, such as 1e300, would spoil the running moments for ever.
        if not -MAX_VALUE <= value <= MAX_VALUE:
            raise _bad(f"row[{number}]", repr(value))


def _bad(field: str, found: str) -> InvalidEvent:
    return InvalidEvent("bad_example", field, found, "an example as the fold writes it")
