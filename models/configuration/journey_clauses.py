"""Refuse clauses in segments that read marks, which only journeys set.

A mark follows from the decisions of a journey, which are made after those about segments. So a segment that reads a
mark would silently hold for no one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.conditions.clauses import AllOf, AnyOf, Condition, Leaf, NoneOf, SegmentRule, ValueClause
from models.conditions.contradictions import places
from models.errors import InvalidConfiguration


def require_no_journey(segments: Sequence[SegmentRule], path: str = "segments") -> None:
    """Check that segments read no mark.

    Raises
    ------
    InvalidConfiguration
        One of them does.

    Examples
    --------
    >>> from models.conditions.parsing import parse_segments
    >>> require_no_journey(parse_segments([{"name": "a", "when": {"not": {"mark": "onboarded", "is": True}}}]))
    Traceback (most recent call last):
    ...
    models.errors.InvalidConfiguration: segments[0].when.not.mark: found 'onboarded'; allowed: no mark: only ...
    """
    for i, segment in enumerate(segments):
        for leaf, place in _placed(segment.when, f"{path}[{i}].when"):
            if isinstance(leaf, ValueClause) and leaf.subject == "mark":
                allowed = "no mark: only conditions in journeys read marks; use a trait instead"
                raise InvalidConfiguration(f"{place}.mark", leaf.name, allowed)


def _placed(condition: Condition, path: str) -> Iterator[tuple[Leaf, str]]:
    """Yield the clauses of a condition with their places."""
    if isinstance(condition, AllOf | AnyOf | NoneOf):
        for inner, place in zip(condition.of, places(condition, path), strict=True):
            yield from _placed(inner, place)
    else:
        yield condition, path
