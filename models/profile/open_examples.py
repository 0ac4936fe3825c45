"""Churn examples that wait for their label, kept small: three bytes a feature.

A row is rounded once, when it is taken, to floats of 24 bits: sign and exponent of those with 32 bits, and 16 bits of
precision, so that the error is below 1 in 100,000. Whatever becomes of a row then (a fold that goes on, one that was
restored, a learner that reads the example) sees the same numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import msgspec


def pack_row(row: Sequence[float]) -> bytes:
    """Round a row, and lay out the first bytes of all its numbers, then the second, then the third.

    The first ones, which hold sign and exponent, are much the same; side by side they are squeezed to little.

    Examples
    --------
    >>> unpack_row(pack_row([0.0, 1.0, -2.5, 0.1]))
    [0.0, 1.0, -2.5, 0.10000038146972656]
    >>> unpack_row(pack_row([0.1])) == unpack_row(pack_row(unpack_row(pack_row([0.1]))))
    True
    """
    count = len(row)
    wide = struct.unpack(f">{count}I", struct.pack(f">{count}f", *row))
    kept = [number + 0x80 >> 8 for number in wide]
    return bytes([number >> shift & 0xFF for shift in (16, 8, 0) for number in kept])


def unpack_row(packed: bytes) -> list[float]:
    """The numbers that :func:`pack_row` kept."""
    count = len(packed) // 3
    wide = bytearray(4 * count)
    for place in range(3):
        wide[place::4] = packed[place * count : (place + 1) * count]
    return list(struct.unpack(f">{count}f", wide))


class Example(msgspec.Struct, frozen=True, gc=False):
    """A churn example as it is taken.

    Attributes
    ----------
    at
        When it was taken, milliseconds.
    row, schema
        Features then, and the fingerprint of their names: code with other features may release it.
    risk, version
        The probability issued then and the version that issued it; ``None`` and 0 before any version existed.
    """

    at: int
    row: Sequence[float]
    schema: str
    risk: float | None
    version: int


class OpenExample(msgspec.Struct, array_like=True, gc=False):
    """An :class:`Example` that waits.

    Attributes
    ----------
    at, schema, risk, version
        As it was taken.
    packed
        Its row, see :func:`pack_row`.
    returned
        Whether there was activity since.
    """

    at: int
    packed: bytes
    schema: str
    risk: float | None
    version: int
    returned: bool = False

    @property
    def row(self) -> list[float]:
        """The features, as they were rounded."""
        return unpack_row(self.packed)


class OpenExamples(msgspec.Struct, array_like=True, gc=False):
    """Examples of one user, oldest first.

    Examples
    --------
    >>> examples = OpenExamples()
    >>> examples.append(Example(at=5, row=[0.5, 0.1], schema="s", risk=None, version=0))
    >>> len(examples), examples[0].returned, examples.pop(0).row
    (1, False, [0.5, 0.10000038146972656])
    """

    waiting: list[OpenExample] = []

    def append(self, taken: Example) -> None:
        """Let one wait; its row is rounded here."""
        self.waiting.append(OpenExample(taken.at, pack_row(taken.row), taken.schema, taken.risk, taken.version))

    def pop(self, place: int) -> OpenExample:
        """Take one out."""
        return self.waiting.pop(place)

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[OpenExample]:
        return iter(self.waiting)

    def __getitem__(self, place: int) -> OpenExample:
        return self.waiting[place]
