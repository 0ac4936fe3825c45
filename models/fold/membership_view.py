"""Segments by rule described for people and other systems: those of a user, and why a user is in one or not."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec

from models.conditions.clauses import Condition, ValueClause
from models.conditions.explaining import ConditionExplanation, Explainer, Explanation, MembershipExplanation
from models.conditions.leaf import Person
from models.conditions.parsing import parse_condition
from models.conditions.user_state import ClauseState, UserConditions
from models.errors import PerennialError
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.deciding_events import NOT_READ
from models.fold.moments import moment
from models.fold.user_values import DecisionValues, time_zone
from models.fold.value_reasons import ValueReasons
from models.fold.versions import Versions
from models.profile.state import Customer
from models.spelling import did_you_mean

_BOUNDS = (
    *("at_least", "more_than", "at_most", "less_than", "is", "in", "starts_with", "contains", "set", "until_below"),
    *("comes_within", "passed_since", "anniversary", "for", "below", "exactly"),
)
"""Keys of a written clause that say what its value is compared with."""
_MEASURED = ("times", "last", "first", "lifecycle")
"""Keys of a written clause whose own value holds what is compared."""


NO_SEGMENTS = "the configuration in use has no segments by rule; perennial apply puts those of the file into use"
"""The answer to a question about a segment where there is none."""


class UnknownSegment(PerennialError):
    """A name that no segment by rule has: name one of those that exist.

    Parameters
    ----------
    name
        The name that was asked for.
    versions
        The versions in use, which have the segments by rule and the learned ones.
    """

    def __init__(self, name: str, versions: Versions) -> None:
        names = names_of(versions)
        learned = () if versions.segments is None else versions.segments.names
        if name in learned:
            found = f"{name!r} is a segment that a model has learned, so it has no condition"
        else:
            found = f"there is no segment {name!r}{did_you_mean(name, names)}"
        known = f"the segments by rule are: {', '.join(names)}" if names else NO_SEGMENTS
        super().__init__(f"{found}; {known}")


def names_of(versions: Versions) -> tuple[str, ...]:
    """Return the names of the segments by rule, in the sequence of the file."""
    conditions = versions.conditions
    return () if conditions is None else tuple(segment.name for segment in conditions.asked.segments)


def memberships(customer: Customer, versions: Versions) -> list[dict[str, Any]]:
    """Describe the segments by rule in which a user is, in the sequence of the file."""
    conditions, found = versions.conditions, customer.ledger.memberships
    if conditions is None or found is None:
        return []
    since = {segment.name: found.since.get(segment.key) for segment in conditions.program.segments}
    return [{"name": name, "since": moment(at)} for name in names_of(versions) if (at := since[name]) is not None]


def why(user: str, customer: Customer, now: int, versions: Versions, name: str) -> dict[str, Any]:
    """Explain why a user is in a segment by rule or not.

    Parameters
    ----------
    user
        The user's id.
    customer
        The user's state; it is only read.
    now
        The partition's clock, milliseconds.
    versions
        The versions in use in the partition.
    name
        Name of the segment.

    Returns
    -------
    dict
        Values that JSON can hold.

    Raises
    ------
    UnknownSegment
        There is no segment by rule of that name.
    """
    conditions = versions.conditions
    if conditions is None or name not in names_of(versions):
        raise UnknownSegment(name, versions)
    said = ConditionReasons(user, customer, now, versions)
    explained = said.of_segment(name)
    return {
        "user": user,
        "as_of": moment(now),
        "segment": name,
        "configuration": versions.configuration_number,
        "since": None if explained.since is None else moment(explained.since),
        "adopts_at": said.adopts_at,
        "failing": list(explained.failing),
        "tree": said.described(explained.tree),
    }


class ConditionReasons:
    """The reasons for the truths of conditions, for one user at one instant.

    Parameters
    ----------
    user, customer, now, versions
        See :func:`why`. Conditions are in use.
    """

    def __init__(self, user: str, customer: Customer, now: int, versions: Versions) -> None:
        facts, conditions = customer.facts, versions.conditions
        assert conditions is not None, "no conditions are in use"
        clauses = ClauseState() if facts.clauses is None else msgspec.structs.replace(facts.clauses)
        clauses.known_since = facts.known_since
        zone = time_zone(facts.traits, versions.configuration) if conditions.program.zoned else UTC
        person = Person(user, DecisionValues(facts, customer.ledger, versions.configuration), zone, facts.known_since)
        held = UserConditions(clauses, customer.ledger.memberships)
        self._explainer = Explainer(conditions.program, held, person, now)
        self._values = ValueReasons(customer, versions, held, person, now)
        self.adopts_at = _adopts_at(conditions, user, customer)
        """Time at which the user comes to the conditions at the latest; ``None`` if the user has come to them."""

    def __repr__(self) -> str:
        """Name the user."""
        return f"ConditionReasons({self._explainer!r})"

    def of_segment(self, name: str) -> MembershipExplanation:
        """Explain a segment by rule."""
        return self._explainer.why(name)

    def of_condition(self, condition: Condition) -> ConditionExplanation:
        """Explain a condition whose clauses are in use."""
        return self._explainer.condition(condition)

    def described(self, one: Explanation) -> dict[str, Any]:
        """Return an explanation as values that JSON can hold."""
        return _tree(one, self._values)


def _adopts_at(conditions: ConditionsInUse, user: str, customer: Customer) -> str | None:
    """Return when the user comes to the conditions at the latest; ``None`` if the user has come to them."""
    if customer.facts.conditions == conditions.generation:
        return None
    return moment(conditions.due_of(user.encode()))


def _tree(one: Explanation, reasons: ValueReasons) -> dict[str, Any]:
    if one.of:
        return {"group": one.condition, "truth": one.truth, "of": [_tree(inner, reasons) for inner in one.of]}
    clause = parse_condition(one.condition, "when")
    if isinstance(clause, ValueClause) and not clause.is_timed:
        one = msgspec.structs.replace(one, **reasons.of(clause)._asdict())
    return {
        "clause": one.condition,
        "truth": one.truth,
        "value": one.value,
        "bound": bound_of(one.condition),
        "decided_at": _time(one.decided_at),
        "decided_by": None if one.decided_by is None else f"{one.decided_by:08x}",
        "approximate": one.is_approximate,
        "covered_from": _time(one.covered_from),
        "unknown_until": _time(one.unknown_until),
        "waits_for_history": one.waits_for_history,
        "changes_at": _time(one.changes_at),
        "event": None,
        "no_event": NOT_READ,
    }


def bound_of(clause: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a written clause with which its value is compared.

    Examples
    --------
    >>> bound_of({"event": "Viewed", "times": {"at_least": 3}, "within": "7d"})
    {'at_least': 3}
    >>> bound_of({"absent": "purchase", "for": "30d"})
    {'for': '30d'}
    >>> bound_of({"lifecycle": ["at_risk", "dormant"]})
    {'in': ['at_risk', 'dormant']}
    """
    for name in _MEASURED:
        if name in clause:
            value = clause[name]
            return value if isinstance(value, dict) else {"in" if isinstance(value, list) else "is": value}
    return {name: clause[name] for name in _BOUNDS if name in clause}


def _time(at: int | None) -> str | None:
    return None if at is None else moment(at)
