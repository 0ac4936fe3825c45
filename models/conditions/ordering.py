"""Put segments into an order in which each comes after those that it refers to."""

from __future__ import annotations

from collections.abc import Sequence

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentClause, SegmentRule
from models.errors import InvalidConfiguration


def in_order(segments: Sequence[SegmentRule]) -> list[SegmentRule]:
    """Return the segments in an order in which each comes after those that it refers to.

    Raises
    ------
    InvalidConfiguration
        Segments refer to each other in a circle.
    """
    rules = {rule.name: rule for rule in segments}
    done: dict[str, bool] = {}
    found: list[SegmentRule] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if done.get(name):
            return
        if name in done:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise InvalidConfiguration(
                f"segments.{name}", circle, "segments that do not refer to each other in a circle"
            )
        done[name] = False
        for other in sorted(references(rules[name].when)):
            if other in rules:
                visit(other, (*path, name))
        done[name] = True
        found.append(rules[name])

    for rule in segments:
        visit(rule.name, ())
    return found


def references(condition: Condition) -> set[str]:
    """Return the names of the segments in a condition."""
    match condition:
        case SegmentClause(name):
            return {name}
        case AllOf(of) | AnyOf(of) | NoneOf(of):
            return set[str]().union(*map(references, of))
    return set()
