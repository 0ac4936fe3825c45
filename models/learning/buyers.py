"""Examples for the population: what the fold says about buyers and their purchases in ``examples.population``.

Each buyer has a slot: one instant of every week, which follows from the user's id. At its slot, a buyer is counted with
the purchases so far. A new buyer is counted immediately, for the slot before. If the next slot is on the same day,
the buyer is counted then. So any seven days of slots have each buyer once.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias
from zlib import crc32

import msgspec

from models.errors import InvalidEvent
from models.units import DAY

TOPIC = "examples.population"
PERIOD_DAYS = 7
"""Time between two slots of a buyer, days."""

_PERIOD_MS = PERIOD_DAYS * DAY
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Time = Annotated[int, msgspec.Meta(ge=0)]
_Micros = Annotated[int, msgspec.Meta(ge=0)]


class BuyerExample(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="buyer"):
    """One buyer at one slot.

    Attributes
    ----------
    day
        Day of the slot, counted from the epoch; below 0 before a feeder's clock has begun.
    at
        The partition's clock, milliseconds. It is after the slot.
    bought_at
        Time of the last purchase, milliseconds.
    orders
        Number of orders.
    spent
        Money spent without refunds, micros by currency.
    """

    day: int
    at: _Time
    bought_at: _Time
    orders: _Count
    spent: dict[str, _Micros]


class GapExample(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="gap"):
    """One gap between a purchase and the next one of the same user.

    Attributes
    ----------
    at
        Time of the later purchase, milliseconds.
    gap
        The gap, milliseconds.
    """

    at: _Time
    gap: _Count


PopulationExample: TypeAlias = BuyerExample | GapExample

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PopulationExample).decode


def encode_population_example(example: PopulationExample) -> bytes:
    """Return an example as JSON.

    Examples
    --------
    >>> encode_population_example(GapExample(at=9, gap=5))
    b'{"kind":"gap","at":9,"gap":5}'
    """
    return _encode(example)


def decode_population_example(value: bytes | None) -> PopulationExample:
    """Read a record of ``examples.population``.

    Raises
    ------
    InvalidEvent
        ``bad_example``: the record is not an example.
    """
    try:
        example: PopulationExample = _decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent("bad_example", "", str(error), "an example as the fold writes it") from error
    return example


def slot_before(key: bytes, now: int) -> int:
    """Return the newest slot of the user with this key that is not after ``now``, milliseconds."""
    return now - (now - crc32(key) % _PERIOD_MS) % _PERIOD_MS


def slot_after(key: bytes, now: int) -> int:
    """Return the user's first slot after ``now``, milliseconds.

    Examples
    --------
    >>> (slot_after(b"u1", 10**12) - slot_before(b"u1", 10**12)) // DAY
    7
    """
    return slot_before(key, now) + _PERIOD_MS
