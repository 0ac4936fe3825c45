"""Churn examples that wait for their label, stored in three bytes per feature.

A row is rounded once, when the example is taken, to floats of 24 bits: sign, exponent and 16 bits of precision. So the
error is below 1 in 100,000. All later readers of the row see the same numbers: a fold that continues, a fold that was
restored, and a learner.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import msgspec


def pack_row(row: Sequence[float]) -> bytes:
    """Round a row, and write the first byte of every number, then the second bytes, then the third ones.

    The first bytes hold sign and exponent and are similar, so side by side they compress well.

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
    """Return the numbers that :func:`pack_row` kept."""
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
        Time at which it is taken, milliseconds.
    row, schema
        The features at that time, and the fingerprint of their names. Code with other features may release the example.
    risk, version
        The probability computed at that time and the version that computed it; ``None`` and 0 before any version.
    """

    at: int
    row: Sequence[float]
    schema: str
    risk: float | None
    version: int


class OpenExample(msgspec.Struct, array_like=True, gc=False):
    """An :class:`Example` that waits for its label.

    Attributes
    ----------
    at, schema, risk, version
        As in the :class:`Example`.
    packed
        Its row, see :func:`pack_row`.
    returned
        Whether the user has been active since.
    """

    at: int
    packed: bytes
    schema: str
    risk: float | None
    version: int
    returned: bool = False

    @property
    def row(self) -> list[float]:
        """The rounded features."""
        return unpack_row(self.packed)


class OpenExamples(msgspec.Struct, array_like=True, gc=False):
    """The open examples of one user, oldest first.

    Examples
    --------
    >>> examples = OpenExamples()
    >>> examples.append(Example(at=5, row=[0.5, 0.1], schema="s", risk=None, version=0))
    >>> len(examples), examples[0].returned, examples.pop(0).row
    (1, False, [0.5, 0.10000038146972656])
    """

    waiting: list[OpenExample] = []

    def append(self, taken: Example) -> None:
        """Add an example; its row is rounded here."""
        self.waiting.append(OpenExample(taken.at, pack_row(taken.row), taken.schema, taken.risk, taken.version))

    def pop(self, place: int) -> OpenExample:
        """Remove the example at a place and return it."""
        return self.waiting.pop(place)

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[OpenExample]:
        return iter(self.waiting)

    def __getitem__(self, place: int) -> OpenExample:
        return self.waiting[place]
