"""The marks that journeys set, and the segments that read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentRule, ValueClause
from models.conditions.ordering import in_order, references
from models.configuration.journeys.definition import Journey, SetStep
from models.configuration.journeys.versions import places_of
from models.errors import InvalidConfiguration


def set_by(journeys: Iterable[Journey]) -> frozenset[str]:
    """Return the names of the marks that journeys set."""
    steps = (step for journey in journeys for _, step in places_of(journey.steps))
    return frozenset(name for step in steps if isinstance(step, SetStep) for name, _ in step.marks)


def readers_of_marks(segments: Sequence[SegmentRule]) -> frozenset[str]:
    """Return the names of the segments that read marks, also by other segments.

    Examples
    --------
    >>> from models.conditions.parsing import parse_segments
    >>> one = {"name": "a", "when": {"not": {"segment": "b"}}}
    >>> other = {"name": "b", "when": {"any": [{"mark": "m", "is": 1}, {"trait": "t", "is": 1}]}}
    >>> sorted(readers_of_marks(parse_segments([one, other, {"name": "c", "when": {"trait": "t", "is": 1}}])))
    ['a', 'b']
    """
    found: set[str] = set()
    for segment in in_order(segments):
        if _reads_mark(segment.when) or not found.isdisjoint(references(segment.when)):
            found.add(segment.name)
    return frozenset(found)


def require_silent_readers(segments: Sequence[SegmentRule], path: str = "segments") -> None:
    """Check that no user enters a segment with a signal when it is applied, if the segment reads marks.

    The number of such users cannot be shown before, because marks follow from messages that were really sent.

    Raises
    ------
    InvalidConfiguration
        A segment that reads marks has ``on_apply: enter``.
    """
    readers = readers_of_marks(segments)
    for i, segment in enumerate(segments):
        if segment.enters and segment.name in readers:
            allowed = "silent, because the segment reads marks, so the number of users is not known before"
            raise InvalidConfiguration(f"{path}[{i}].on_apply", "enter", allowed)


def _reads_mark(condition: Condition) -> bool:
    if isinstance(condition, AllOf | AnyOf | NoneOf):
        return any(map(_reads_mark, condition.of))
    return isinstance(condition, ValueClause) and condition.subject == "mark"
