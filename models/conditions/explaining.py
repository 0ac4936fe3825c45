"""Explain why a user is in a segment or not: the tree of clauses, and the smallest set of clauses that fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentClause
from models.conditions.evaluator import View
from models.conditions.failing import smallest_change
from models.conditions.leaf import LeafEvaluator, Person
from models.conditions.periods import ALWAYS, NEVER
from models.conditions.program import ConditionProgram
from models.conditions.truth import Truth, all_of, any_of, negated
from models.conditions.user_state import UserConditions
from models.conditions.writing import canonical, digest, plain


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A condition for one user at one instant.

    Attributes
    ----------
    condition
        The written form of a clause; ``all``, ``any``, ``none`` or ``not`` for a group.
    truth
        True, false, or ``None`` for unknown.
    value
        What was measured, such as ``2``.
    decided_at, decided_by
        Time of the deciding event, milliseconds, and the mark of its id (:func:`models.conditions.entries.mark_of`).
    is_approximate
        Whether parts of the history were merged to bound the state.
    covered_from
        Time after which the clause has seen every event of the user, milliseconds; ``None`` if it has seen all of them.
    unknown_until
        For an unknown clause: the time from which it is known without more events; ``None`` if there is none.
    waits_for_history
        Whether the clause is unknown until what it has not seen is read from the log.
    changes_at
        The next time at which the clause changes without an event; ``None`` if it does not.
    of
        The conditions of a group.
    """

    condition: Any
    truth: Truth
    value: str = ""
    decided_at: int | None = None
    decided_by: int | None = None
    is_approximate: bool = False
    covered_from: int | None = None
    unknown_until: int | None = None
    waits_for_history: bool = False
    changes_at: int | None = None
    of: tuple[Explanation, ...] = ()


class MembershipExplanation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer to why a user is in a segment or not.

    Attributes
    ----------
    segment
        Name of the segment.
    since
        Time since which the user is in it, milliseconds; ``None`` if the user is not in it.
    tree
        The condition of the segment.
    failing
        For a user who is not in it: the smallest set of clauses that would have to change, in their written form. Those
        that would have to become false are in ``not``.
    """

    segment: str
    since: int | None
    tree: Explanation
    failing: tuple[Any, ...] = ()


class ConditionExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to why a condition is true for a user or not.

    Attributes
    ----------
    tree
        The condition.
    failing
        The smallest set of clauses that would have to change so that it is true; empty if it is.
    """

    tree: Explanation
    failing: tuple[Any, ...] = ()


class Explainer:
    """The explanations for one user at one instant.

    Parameters
    ----------
    program, user, person
        The conditions, what the user's clauses remember, and what else they read.
    at
        The instant, milliseconds.
    """

    def __init__(self, program: ConditionProgram, user: UserConditions, person: Person, at: int) -> None:
        person.known_since = user.state.known_since
        self._program = program
        self._user = user
        self._person = person
        self._at = at
        self._view = View(program, user, person, at)
        self._indexes = {segment.name: segment.index for segment in program.segments}

    def __repr__(self) -> str:
        """Name the user."""
        return f"Explainer({self._person!r}, {self._at})"

    def why(self, name: str) -> MembershipExplanation:
        """Explain a segment.

        Raises
        ------
        KeyError
            There is no segment by rule of that name.
        """
        segment = self._program.segments[self._indexes[name]]
        since = self._user.memberships.since.get(segment.key)
        failing = () if since is not None else tuple(self._failing(segment.condition))
        return MembershipExplanation(segment=name, since=since, tree=self._explain(segment.condition), failing=failing)

    def condition(self, condition: Condition) -> ConditionExplanation:
        """Explain a condition that is not that of a segment, such as the entry of a journey.

        Raises
        ------
        KeyError
            The conditions do not contain one of its clauses.
        """
        tree = self._explain(condition)
        failing = () if tree.truth is True else tuple(self._failing(condition))
        return ConditionExplanation(tree=tree, failing=failing)

    def _explain(self, condition: Condition) -> Explanation:
        match condition:
            case AllOf(of):
                return self._group("all", of)
            case AnyOf(of):
                return self._group("any", of)
            case NoneOf(of):
                return self._group("none" if len(of) > 1 else "not", of)
            case SegmentClause():
                return self._segment(condition)
        leaf = self._program.leaves[digest(canonical(condition))]
        entry, truth = self._user.entry(leaf), self._truth(condition)
        reading = leaf.read(entry, self._at, self._person)
        known_at = leaf.known_at if truth is None and self._at < leaf.known_at < NEVER else None
        return Explanation(
            condition=plain(condition),
            truth=truth,
            value=reading.value,
            decided_at=reading.decided_at,
            decided_by=reading.decided_by,
            is_approximate=reading.is_approximate,
            covered_from=None if leaf.is_covered(ALWAYS, self._person) else leaf.covered_from,
            unknown_until=self._changes_at(leaf, entry) if known_at is not None and leaf.reads_zone else known_at,
            waits_for_history=leaf.key in self._program.pending,
            changes_at=self._changes_at(leaf, entry),
        )

    def _changes_at(self, leaf: LeafEvaluator, entry: Any) -> int | None:
        """Return the next change, however many instants have to be tried."""
        present = leaf.truth(entry, self._at, self._person)
        for instant in leaf.instants(entry, self._at, self._person):
            if leaf.truth(entry, instant, self._person) is not present:
                return instant
        return None

    def _group(self, name: str, of: tuple[Condition, ...]) -> Explanation:
        inner = tuple(map(self._explain, of))
        truths = [one.truth for one in inner]
        truth = all_of(truths) if name == "all" else any_of(truths)
        return Explanation(condition=name, truth=truth if name in ("all", "any") else negated(truth), of=inner)

    def _segment(self, clause: SegmentClause) -> Explanation:
        index = self._indexes.get(clause.name)
        if index is None:
            since = self._person.values.learned_since(clause.name)
        else:
            since = self._user.memberships.since.get(self._program.segments[index].key)
        due = None if since is None else since + clause.duration
        return Explanation(
            condition=plain(clause),
            truth=self._truth(clause),
            value="not in it" if since is None else "in it",
            decided_at=since,
            changes_at=due if due is not None and due > self._at else None,
        )

    def _truth(self, condition: Condition) -> Truth:
        match condition:
            case AllOf(of):
                return all_of(map(self._truth, of))
            case AnyOf(of):
                return any_of(map(self._truth, of))
            case NoneOf(of):
                return negated(any_of(map(self._truth, of)))
            case SegmentClause(name, duration):
                index = self._indexes.get(name)
                if index is None:
                    return self._view.learned(name, duration)
                return self._view.segment(index, duration)
        return self._view.leaf(self._program.leaves[digest(canonical(condition))])

    def _failing(self, condition: Condition) -> Iterator[Any]:
        """Yield the smallest set of clauses that have to change so that a condition holds."""
        for clause, wanted in smallest_change(condition, self._truth):
            yield plain(clause) if wanted else {"not": plain(clause)}
