"""How much the clauses remember of one user at most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from models.conditions.clauses import (
    AbsentClause,
    AllOf,
    AnyOf,
    Condition,
    EventClause,
    Leaf,
    NoneOf,
    SegmentClause,
    SequenceClause,
    ValueClause,
)
from models.conditions.counts import kept
from models.conditions.leaf import SERIES_BYTES
from models.conditions.properties import MAX_KEY
from models.conditions.sequences import MAX_PARTIALS, MAX_RECENT
from models.conditions.sums import MAX_ENTRIES
from models.conditions.varieties import MAX_VALUES
from models.conditions.writing import canonical

ENTRY_BYTES = 9 + 2 + 18
"""Size of an entry beside its content, bytes: the number of the clause, its length, and its next change."""
VALUE_BYTES = 9
"""Size of a great number beside the time of an event, bytes."""


class ClauseCost(NamedTuple):
    """The memory of one user in a clause. A user who did nothing that the clause asks for costs nothing.

    Attributes
    ----------
    most
        Maximum size, bytes.
    each
        Size of each event that is remembered, bytes.
    """

    most: int
    each: int


def cost_of(clause: Leaf) -> ClauseCost:
    """Return how much a clause remembers of one user.

    Examples
    --------
    >>> from models.conditions.parsing import parse_condition
    >>> cost_of(parse_condition({"event": "A", "times": {"at_least": 3}, "within": "7d"}, "")).most
    86
    """
    match clause:
        case EventClause():
            return _of_events(clause)
        case AbsentClause():
            return ClauseCost(ENTRY_BYTES + SERIES_BYTES, 0)
        case SequenceClause(steps):
            each = 20 + (MAX_KEY + 3) * sum(1 for step in steps if step.name)
            return ClauseCost(ENTRY_BYTES + 12 + each * (MAX_PARTIALS * len(steps) + MAX_RECENT), each)
        case ValueClause():
            held = ENTRY_BYTES + 1 if clause.until_below is not None else ENTRY_BYTES if clause.is_timed else 0
            issued = len(clause.name) + 2 + VALUE_BYTES if clause.subject == "feature" else 0
            return ClauseCost(held + issued, 0)
    return ClauseCost(0, 0)


def _of_events(clause: EventClause) -> ClauseCost:
    measure = clause.measure
    match measure.kind:
        case "times":
            number, each = kept(measure.bounds), SERIES_BYTES
        case "last" | "first":
            number, each = 1, SERIES_BYTES
        case "distinct":
            number = kept(measure.bounds) if measure.each == 1 else MAX_VALUES
            each = MAX_KEY + 3 + VALUE_BYTES * measure.each
        case _:
            number, each = MAX_ENTRIES, SERIES_BYTES + VALUE_BYTES
    return ClauseCost(ENTRY_BYTES + number * each, each)


def leaves_of(condition: Condition) -> list[Leaf]:
    """Return the clauses in a condition."""
    match condition:
        case AllOf(of) | AnyOf(of) | NoneOf(of):
            return [leaf for inner in of for leaf in leaves_of(inner)]
    return [condition]


class ConditionsCost(NamedTuple):
    """The memory of one user in several conditions.

    Attributes
    ----------
    clauses
        Number of different clauses, without memberships; the same clause in several conditions is remembered once.
    bounded
        Maximum size of the clauses that remember a fixed number of events, bytes.
    growing
        Number of clauses that remember each event of their window.
    each
        Size of an event in those, bytes.
    """

    clauses: int
    bounded: int
    growing: int
    each: int


def cost_of_all(conditions: Iterable[Condition]) -> ConditionsCost:
    """Return how much several conditions remember of one user."""
    leaves = [leaf for one in conditions for leaf in leaves_of(one) if not isinstance(leaf, SegmentClause)]
    clauses = {canonical(leaf): leaf for leaf in leaves}
    costs = [(cost_of(leaf), _grows(leaf)) for leaf in clauses.values()]
    growing = [cost for cost, grows in costs if grows]
    return ConditionsCost(
        len(clauses),
        sum(cost.most for cost, grows in costs if not grows),
        len(growing),
        max((cost.each for cost in growing), default=0),
    )


def _grows(clause: Leaf) -> bool:
    if isinstance(clause, EventClause):
        return clause.measure.kind in ("sum", "average", "largest", "smallest") or clause.measure.each > 1
    return isinstance(clause, SequenceClause)
