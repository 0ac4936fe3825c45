"""What the fold tells the learners: the values of the topics ``examples.churn`` and ``examples.segments``.

An example carries the fingerprint of the feature names that its row was made with, so a learner never reads a row by
another list of names than the one that wrote it.
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
LIMIT = 1e6
"""No value of a row is farther from 0: counts and money enter as logarithms."""

_Row = list[float]
_Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class ChurnExample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One user at one moment, and whether they came back within the horizon.

    Attributes
    ----------
    user
        Whom it is about.
    at, due
        When it was taken, and when its label was final; milliseconds.
    schema
        :func:`fingerprint` of the feature names of ``row``.
    row
        Features at ``at``.
    risk, version
        The probability issued at ``at`` and the version that issued it; ``None`` and 0 before any version existed.
    churned
        No activity after ``at`` and until ``due``.
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
        Whom it is about.
    at
        When it was taken, milliseconds.
    schema
        :func:`fingerprint` of the feature names of ``row``.
    row
        Features at ``at``.
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
    """Sixteen hexadecimal digits that stand for these names in this order.

    Examples
    --------
    >>> fingerprint(("recency", "orders"))
    '2358f8caad2a93db'
    >>> fingerprint(("recency", "orders")) == fingerprint(("orders", "recency"))
    False
    """
    return _digest(tuple(names))


def encode_example(example: ChurnExample | SegmentExample) -> bytes:
    """JSON of an example.

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
        ``bad_example``: it is none, or holds a number that no feature has, such as infinity.
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
    """Read a record of ``examples.segments``; raises like :func:`decode_churn`."""
    try:
        example = _segment.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad("", str(error)) from error
    _check(example.row)
    return example


def require_features(example: ChurnExample | SegmentExample, features: Sequence[str]) -> None:
    """Return where an example's row was made with these features; raises :class:`InvalidEvent` (``other_features``)."""
    schema = fingerprint(features)
    if example.schema != schema or len(example.row) != len(features):
        raise InvalidEvent("other_features", "schema", example.schema, f"{schema}, the features of this code")


def _check(row: Sequence[float]) -> None:
    for number, value in enumerate(row):
        # one such value would stay in the running moments for ever; "1e999" is JSON, and infinity
        if not -LIMIT <= value <= LIMIT:
            raise _bad(f"row[{number}]", repr(value))


def _bad(field: str, found: str) -> InvalidEvent:
    return InvalidEvent("bad_example", field, found, "an example as the fold writes it")
