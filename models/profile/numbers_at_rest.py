"""The numbers of a dormant user at rest: integers where a number is whole, and times relative to the last activity.

A block of numbers takes 280 bytes, of which most users need about half.
"""

from __future__ import annotations

import struct

import msgspec

_BLOCK = struct.Struct("<15d" + "d24s" * 5)
"""The numbers of the features except the time: facts, and for each decayed count its time and its values."""
_VALUES = 5 * 24
_ZERO = b"\0"


class _Numbers(msgspec.Struct, array_like=True, gc=False):
    """The numbers of the features.

    Attributes
    ----------
    known_for
        Time from the first activity to the last one, milliseconds.
    others
        The other numbers that are facts, in their order.
    ages
        For each decayed count, the time from its newest change to the last activity, milliseconds; ``None`` for a count
        that has never changed.
    values
        The values of the decayed counts, without zeros at the end.
    """

    known_for: int
    others: list[int | float]
    ages: list[int | None]
    values: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Numbers).decode


def encode(block: bytes) -> bytes:
    """Encode a block of numbers, which has no time and no zeros at its end.

    Examples
    --------
    >>> import struct
    >>> block = struct.pack("<5d", 5.0, 9.0, 2.0, 0.5, 1.0)
    >>> decode(encode(block), 9) == block
    True
    """
    first, last, *others, a, one, b, two, c, three, d, four, e, five = _BLOCK.unpack(block.ljust(_BLOCK.size, _ZERO))
    return _encode(
        _Numbers(
            int(last - first),
            [int(number) if number.is_integer() else number for number in others],
            [int(last - at) if at else None for at in (a, b, c, d, e)],
            b"".join((one, two, three, four, five)).rstrip(_ZERO),
        )
    )


def decode(packed: bytes, last_seen: int) -> bytes:
    """Decode the block of a user whose last activity was at this time, milliseconds."""
    numbers = _decode(packed)
    values = numbers.values.ljust(_VALUES, _ZERO)
    a, b, c, d, e = [0.0 if age is None else last_seen - age for age in numbers.ages]
    return _BLOCK.pack(
        last_seen - numbers.known_for,
        last_seen,
        *numbers.others,
        *(a, values[:24], b, values[24:48], c, values[48:72], d, values[72:96], e, values[96:]),
    ).rstrip(_ZERO)
