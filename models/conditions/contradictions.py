"""Conditions that no user can meet, as far as this can be seen without any event."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from models.conditions.clauses import (
    AbsentClause,
    AllOf,
    AnyOf,
    Condition,
    EventClause,
    EventWindow,
    Leaf,
    NoneOf,
    ValueClause,
    ValueComparison,
    Where,
)
from models.conditions.matching import predicate
from models.conditions.writing import canonical

MAX_COMPARED = 100
"""Maximum number of clauses about the same that are compared with each other in one condition."""


class Placed(NamedTuple):
    """A clause that must hold, or that must not hold.

    Attributes
    ----------
    path
        Its place in the file.
    clause
        The clause.
    holds
        Whether it must hold.
    """

    path: str
    clause: Leaf
    holds: bool


class Contradiction(NamedTuple):
    """Two clauses of which at least one is false.

    Attributes
    ----------
    path, other
        Their places; ``path`` is the later one.
    reason
        Reason, for the author of the file.
    """

    path: str
    other: str
    reason: str


class _Number(NamedTuple):
    """A range of the number of some events in a window; one of the bounds may be ``None``."""

    event: str
    where: Where
    window: EventWindow
    low: int | None
    high: int | None


class _Required(NamedTuple):
    """A clause with its canonical form and, if it requires one, the range of a number of events."""

    placed: Placed
    content: bytes
    number: _Number | None


def contradictions(condition: Condition, path: str) -> Iterator[Contradiction]:
    """Yield the pairs of clauses of which both would have to hold, although they exclude each other.

    Parameters
    ----------
    condition
        The condition.
    path
        Its place in the file.
    """
    match condition:
        case AllOf():
            alike: dict[object, list[_Required]] = {}
            for placed in required(condition, path, holds=True):
                one = _Required(placed, canonical(placed.clause), _number(placed))
                alike.setdefault(_about(one), []).append(one)
            for group in alike.values():
                for first, second in combinations(group[:MAX_COMPARED], 2):
                    reason = _exclude(first, second)
                    if reason:
                        yield Contradiction(second.placed.path, first.placed.path, reason)
            for inner, place in _alternatives(condition, path):
                yield from contradictions(inner, place)
        case AnyOf(of) | NoneOf(of):
            for inner, place in zip(of, places(condition, path), strict=True):
                yield from contradictions(inner, place)


def places(condition: AllOf | AnyOf | NoneOf, path: str) -> list[str]:
    """Return the places of the conditions in a group."""
    if isinstance(condition, NoneOf) and len(condition.of) == 1:
        return [f"{path}.not"]
    name = "all" if isinstance(condition, AllOf) else "any" if isinstance(condition, AnyOf) else "none"
    return [f"{path}.{name}[{i}]" for i in range(len(condition.of))]


def required(condition: Condition, path: str, *, holds: bool) -> Iterator[Placed]:
    """Yield the clauses that must hold, or must not hold, if a condition holds (or if it does not).

    Parameters
    ----------
    condition
        The condition.
    path
        Its place in the file.
    holds
        Whether it holds.
    """
    match condition:
        case AllOf() if holds:
            inner_holds = True
        case AnyOf() if not holds:
            inner_holds = False
        case NoneOf() if holds:
            inner_holds = False
        case NoneOf(of) if len(of) == 1:
            inner_holds = True
        case AllOf() | AnyOf() | NoneOf():
            return
        case _:
            yield Placed(path, condition, holds)
            return
    for inner, place in zip(condition.of, places(condition, path), strict=True):
        yield from required(inner, place, holds=inner_holds)


def _alternatives(condition: AllOf, path: str) -> Iterator[tuple[Condition, str]]:
    """Yield the groups in a condition whose parts are not all required."""
    for inner, place in zip(condition.of, places(condition, path), strict=True):
        if isinstance(inner, AllOf):
            yield from _alternatives(inner, place)
        elif isinstance(inner, AnyOf | NoneOf):
            yield inner, place


def _about(required: _Required) -> object:
    """Return what a clause is about. Only clauses about the same are compared."""
    match required.placed.clause:
        case EventClause(event) | AbsentClause(event):
            return "event", event
        case ValueClause(subject, name):
            return subject, name
    return required.content


def _exclude(one: _Required, other: _Required) -> str:
    """Return why two clauses exclude each other; an empty text if they do not, as far as this can be seen."""
    if one.placed.holds != other.placed.holds and one.content == other.content:
        return "one requires what the other excludes"
    if one.number is not None and other.number is not None:
        return _numbers_exclude(one.number, other.number) or _numbers_exclude(other.number, one.number)
    first, second = one.placed.clause, other.placed.clause
    if one.placed.holds and other.placed.holds and isinstance(first, ValueClause) and isinstance(second, ValueClause):
        return _values_exclude(first, second)
    return ""


def _number(placed: Placed) -> _Number | None:
    """Return the bounds of a number of events that a clause requires; ``None`` if it requires something else."""
    clause = placed.clause
    if isinstance(clause, AbsentClause) and clause.gaps is None:
        if not placed.holds:  # also a user who is known for a shorter time has no absence
            return None
        return _Number(clause.event, clause.where, EventWindow("rolling", clause.duration), None, 0)
    if not isinstance(clause, EventClause) or clause.measure.kind != "times" or clause.window.gaps is not None:
        return None
    low, high = clause.measure.bounds.low, clause.measure.bounds.high
    if placed.holds:
        return _Number(clause.event, clause.where, clause.window, low, high)
    if low is not None and high is not None:
        return None
    if low is not None:
        return _Number(clause.event, clause.where, clause.window, None, low - 1)
    return None if high is None else _Number(clause.event, clause.where, clause.window, high + 1, None)


def _numbers_exclude(more: _Number, fewer: _Number) -> str:
    """Return why events that are required are too many for another clause, which counts all of them, too."""
    if more.low is None or fewer.high is None or more.low <= fewer.high:
        return ""
    if not set(fewer.where) <= set(more.where) or not _is_within(more.window, fewer.window):
        return ""
    return f"one requires at least {more.low} of {more.event!r}, and the other at most {fewer.high} in the same time"


def _is_within(inner: EventWindow, outer: EventWindow) -> bool:
    """Return whether a window is always within another one."""
    if outer.kind == "ever" or inner == outer:
        return True
    if inner.kind != outer.kind:
        return False
    if inner.kind == "rolling":
        return inner.length <= outer.length
    if inner.kind == "since":
        return inner.since >= outer.since
    return inner.kind == "calendar" and inner.unit == "day"


def _values_exclude(one: ValueClause, other: ValueClause) -> str:
    """Return why no value meets both comparisons of the same value."""
    if one.comparison is None or other.comparison is None:
        return ""
    if one.until_below is not None or other.until_below is not None:  # such a clause may hold without its comparison
        return ""
    name = f"{one.subject} {one.name!r}" if one.name else one.subject
    for first, second in ((one.comparison, other.comparison), (other.comparison, one.comparison)):
        if first.among and not any(map(predicate(second), first.among)):
            return f"no value of the {name} meets both"
    return "" if _overlap((one.comparison, other.comparison)) else f"no number of the {name} meets both"


def _overlap(comparisons: tuple[ValueComparison, ...]) -> bool:
    """Return whether a number may meet the bounds of all comparisons. An exclusive bound sorts as the narrower one."""
    lows = [(one.at_least, 0) for one in comparisons if one.at_least is not None]
    lows += [(one.more_than, 1) for one in comparisons if one.more_than is not None]
    highs = [(one.at_most, 0) for one in comparisons if one.at_most is not None]
    highs += [(one.less_than, -1) for one in comparisons if one.less_than is not None]
    if not lows or not highs:
        return True
    (low, opens), (high, closes) = max(lows), min(highs)
    return low < high or (low == high and not opens and not closes)
