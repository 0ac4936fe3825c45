"""The clauses that compare one number, ordered so that a change of the number finds those whose truth can differ."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from models.conditions.clauses import ValueClause, ValueComparison
from models.conditions.leaf import LeafEvaluator

_Pair = tuple[float, LeafEvaluator]


class NumberIndex:
    """The clauses that compare one number.

    Parameters
    ----------
    leaves
        The clauses; each has bounds (:func:`bounds_of`).

    Attributes
    ----------
    leaves
        The same clauses.
    """

    __slots__ = ("_bounds", "_by_bound", "_by_start", "_starts", "leaves")

    def __init__(self, leaves: Sequence[LeafEvaluator]) -> None:
        self.leaves = tuple(leaves)
        pairs = sorted(chain.from_iterable(_pairs(leaf) for leaf in leaves), key=itemgetter(0))
        self._bounds, self._by_bound = [bound for bound, _ in pairs], [leaf for _, leaf in pairs]
        starts = sorted(((_start(leaf), leaf) for leaf in leaves), key=itemgetter(0))
        self._starts, self._by_start = [start for start, _ in starts], [leaf for _, leaf in starts]

    def __repr__(self) -> str:
        """Show the number of clauses."""
        return f"NumberIndex({len(self.leaves)} clauses)"

    def changing(self, previous: Any, present: Any) -> Iterable[LeafEvaluator]:
        """Return the clauses whose truth can differ between two values; ``None`` stands for a missing value.

        Other values are not numbers, or are not known. Then all clauses are returned.
        """
        if is_number(present):
            if is_number(previous):
                low, high = min(previous, present), max(previous, present)
                return self._by_bound[bisect_left(self._bounds, low) : bisect_right(self._bounds, high)]
            if previous is None:  # no clause was true
                return self._by_start[: bisect_right(self._starts, present)]
        return self.leaves


def bounds_of(clause: ValueClause) -> list[float]:
    """Return the numbers at which a comparison changes; none if it does not only compare a number."""
    comparison = clause.comparison
    if comparison is None:
        return []
    bounds = [comparison.at_least, comparison.more_than, comparison.at_most, comparison.less_than]
    only = ValueComparison(
        at_least=comparison.at_least,
        more_than=comparison.more_than,
        at_most=comparison.at_most,
        less_than=comparison.less_than,
    )
    if comparison != only:
        return []
    return [float(bound) for bound in (*bounds, clause.until_below) if bound is not None]


def is_number(value: Any) -> bool:
    """Return whether a value is a number; a flag is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pairs(leaf: LeafEvaluator) -> Iterable[_Pair]:
    assert isinstance(leaf.clause, ValueClause)
    return ((bound, leaf) for bound in bounds_of(leaf.clause))


def _start(leaf: LeafEvaluator) -> float:
    """Return the number below which a clause does not become true."""
    assert isinstance(leaf.clause, ValueClause)
    comparison = leaf.clause.comparison
    assert comparison is not None
    lower = (float(bound) for bound in (comparison.at_least, comparison.more_than) if bound is not None)
    return max(lower, default=float("-inf"))
