"""Absences without an upper bound: conditions that also hold for users who have been silent for years."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from models.conditions.clauses import AbsentClause, Condition, EventClause, SegmentClause
from models.conditions.contradictions import Placed, required

_WINDOWS = ("rolling", "calendar", "since", "entry")


def open_absences(
    conditions: Iterable[tuple[str, Condition]], segments: Mapping[str, tuple[str, Condition]]
) -> Iterator[Placed]:
    """Yield the required absences of an event that no other required clause limits.

    Parameters
    ----------
    conditions
        Conditions that must all hold, with their places in the file.
    segments
        Place and condition of each segment by rule, by its name. A required segment requires its condition.

    Examples
    --------
    >>> from models.conditions.parsing import parse_condition
    >>> silent = {"absent": "purchase", "for": "30d"}
    >>> for condition in (silent, {"all": [silent, {"not": {"absent": "purchase", "for": "60d"}}]}):
    ...     print([one.path for one in open_absences([("if", parse_condition(condition, "if"))], {})])
    ['if']
    []
    """
    found = list(_all_required(conditions, segments))
    for placed in found:
        clause = placed.clause
        if placed.holds and isinstance(clause, AbsentClause) and not any(_limits(one, clause) for one in found):
            yield placed


def _all_required(
    conditions: Iterable[tuple[str, Condition]], segments: Mapping[str, tuple[str, Condition]]
) -> Iterator[Placed]:
    """Yield the clauses that must hold or must not hold, also those of segments that are required."""
    waiting, seen = list(conditions), set[str]()
    while waiting:
        path, condition = waiting.pop(0)
        for placed in required(condition, path, holds=True):
            clause = placed.clause
            if placed.holds and isinstance(clause, SegmentClause) and clause.name in segments:
                if clause.name not in seen:
                    seen.add(clause.name)
                    waiting.append(segments[clause.name])
            else:
                yield placed


def _limits(placed: Placed, absent: AbsentClause) -> bool:
    """Return whether a required clause says that the newest such event is not older than some time."""
    clause = placed.clause
    if isinstance(clause, AbsentClause):
        return not placed.holds and clause.event == absent.event
    if not isinstance(clause, EventClause) or clause.event != absent.event or not placed.holds:
        return False
    bounds = clause.measure.bounds
    if clause.measure.kind == "last":
        return bounds.high is not None
    return clause.measure.kind == "times" and bool(bounds.low) and clause.window.kind in _WINDOWS
