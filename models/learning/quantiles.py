"""Quantiles of a stream of numbers in bounded memory: a KLL sketch of Apache DataSketches.

The sketch keeps a sample of the numbers. Up to ``K`` numbers it keeps all of them, so its quantiles are exact. Above
that it halves full levels of the sample, and a coin decides which half is kept. The coin cannot be seeded. So two
sketches of the same numbers may differ, within :data:`RANK_ERROR`.

References
----------
Z. Karnin, K. Lang and E. Liberty, "Optimal quantile approximation in streams", FOCS 2016.
"""

from __future__ import annotations

from collections.abc import Iterable

from datasketches import kll_doubles_sketch

K = 400
"""Size of the sample; a sketch takes at most 9 KB."""
RANK_ERROR = 0.0068
"""Error of a rank, as a share of the numbers, that a sketch exceeds with a probability below 1%."""


class Quantiles:
    """A sketch of numbers.

    Parameters
    ----------
    packed
        Bytes that :meth:`pack` returned; without them, the sketch is empty.

    Examples
    --------
    >>> sketch = Quantiles()
    >>> for number in (5, 3, 1, 4, 2):
    ...     sketch.add(number)
    >>> [sketch.quantile(share) for share in (0.2, 0.5, 1.0)]
    [1.0, 3.0, 5.0]
    >>> Quantiles.merged([sketch, Quantiles(sketch.pack())]).count
    10
    """

    __slots__ = ("_packed", "_sketch")

    def __init__(self, packed: bytes | None = None) -> None:
        self._packed = packed
        self._sketch = kll_doubles_sketch(K) if packed is None else kll_doubles_sketch.deserialize(packed)

    def __repr__(self) -> str:
        """Show the number of values."""
        return f"Quantiles(count={self.count})"

    @classmethod
    def merged(cls, sketches: Iterable[Quantiles]) -> Quantiles:
        """Return a sketch of the numbers of all sketches, which stay as they are."""
        merged = cls()
        for sketch in sketches:
            merged._sketch.merge(sketch._sketch)
        return merged

    @property
    def count(self) -> int:
        """Number of values added."""
        count: int = self._sketch.n
        return count

    def add(self, value: float) -> None:
        """Add a number."""
        self._sketch.update(value)
        self._packed = None

    def quantile(self, share: float) -> float:
        """Return the smallest number such that at least this share of the numbers, 0 to 1, are not above it.

        Raises
        ------
        ValueError
            The sketch is empty.
        """
        if not self.count:
            raise ValueError("an empty sketch has no quantiles; add a number first")
        quantile: float = self._sketch.get_quantile(share, True)
        return quantile

    def pack(self) -> bytes:
        """Return the sketch as bytes; without new numbers they stay the same."""
        if self._packed is None:
            self._packed = bytes(self._sketch.serialize())
        return self._packed
