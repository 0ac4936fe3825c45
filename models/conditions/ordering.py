"""Put segments into an order in which each comes after those that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentClause, SegmentRule
from models.errors import InvalidConfiguration

MAX_CHAIN = 100
"""Maximum number of segments that refer to each other one after the other: a step may have to decide all of them."""


def in_order(segments: Sequence[SegmentRule], path: str = "segments") -> list[SegmentRule]:
    """Return the segments in an order in which each comes after those that it refers to.

    Parameters
    ----------
    segments
        Segments with different names, in the sequence of the file.
    path
        Path of the segments in the file, for the error.

    Raises
    ------
    InvalidConfiguration
        Segments refer to each other in a circle.
    """
    rules = {rule.name: rule for rule in segments}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for rule in segments:
        sorter.add(rule.name, *sorted(references(rule.when) & rules.keys()))
    try:
        return [rules[name] for name in sorter.static_order()]
    except CycleError as error:
        circle = error.args[1][::-1]
        place = next(i for i, rule in enumerate(segments) if rule.name == circle[0])
        allowed = "segments that do not refer to each other in a circle"
        raise InvalidConfiguration(f"{path}[{place}].when", " -> ".join(circle), allowed) from None


def require_short_chains(ordered: Sequence[SegmentRule], path: str = "segments") -> None:
    """Check that segments do not refer to each other over too many others.

    Parameters
    ----------
    ordered
        Segments, each after those that it refers to.
    path
        Path of the segments in the file, for the error.

    Raises
    ------
    InvalidConfiguration
        A chain is longer than ``MAX_CHAIN``.
    """
    lengths: dict[str, int] = {}
    for rule in ordered:
        lengths[rule.name] = 1 + max((lengths.get(name, 0) for name in references(rule.when)), default=0)
        if lengths[rule.name] > MAX_CHAIN:
            found = f"{rule.name!r} at the end of {lengths[rule.name]} segments that refer to each other"
            raise InvalidConfiguration(path, found, f"a chain of at most {MAX_CHAIN} segments")


def references(condition: Condition) -> set[str]:
    """Return the names of the segments in a condition."""
    match condition:
        case SegmentClause(name):
            return {name}
        case AllOf(of) | AnyOf(of) | NoneOf(of):
            return set[str]().union(*map(references, of))
    return set()
