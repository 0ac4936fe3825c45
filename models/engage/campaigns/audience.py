"""The audience of a campaign: the truth of its condition, and the clauses that have to be watched for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from models.conditions.clauses import AllOf, AnyOf, Condition, Leaf, NoneOf, SegmentClause
from models.conditions.truth import Truth, all_of, any_of, negated
from models.configuration.campaigns.definition import Campaign
from models.configuration.journeys.checking import leaves_of


def truth_of(condition: Condition, ask: Callable[[Leaf], Truth]) -> Truth:
    """Return the truth of a condition, whose clauses are asked one by one.

    Examples
    --------
    >>> both = AllOf((SegmentClause("a"), NoneOf((SegmentClause("b"),))))
    >>> truth_of(both, lambda clause: clause.name == "a")
    True
    """
    match condition:
        case AllOf(of):
            return all_of(truth_of(one, ask) for one in of)
        case AnyOf(of):
            return any_of(truth_of(one, ask) for one in of)
        case NoneOf(of):
            return negated(any_of(truth_of(one, ask) for one in of))
    return ask(condition)


def watched_clauses(campaigns: Iterable[Campaign]) -> tuple[Condition, ...]:
    """Return the clauses of audiences that the evaluation of the users' conditions has to watch, each once."""
    found: dict[Condition, None] = {}
    for campaign in campaigns:
        for leaf in leaves_of(campaign.audience):
            if not isinstance(leaf, SegmentClause):
                found[leaf] = None
    return tuple(found)
