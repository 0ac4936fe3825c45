"""Put segments into an order in which each comes after those that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentClause, SegmentRule
from models.errors import InvalidConfiguration


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


def references(condition: Condition) -> set[str]:
    """Return the names of the segments in a condition."""
    match condition:
        case SegmentClause(name):
            return {name}
        case AllOf(of) | AnyOf(of) | NoneOf(of):
            return set[str]().union(*map(references, of))
    return set()
