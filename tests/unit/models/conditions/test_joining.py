"""The joint entries of two users equal those of one user who has all of their events."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions import clauses as c
from models.conditions.evaluator import Evaluator
from models.conditions.joining import Joining, PersonSide, join_clauses
from models.conditions.leaf import NoValues, Person
from models.conditions.parsing import parse_segments
from models.conditions.program import ConditionProgram
from models.conditions.user_state import UserConditions
from models.events import Event
from tests.support.random_conditions import random_arrivals, random_segments

ORDER_WITHIN_MS = 3_600_000


class Folded(NamedTuple):
    """A user after some events."""

    conditions: UserConditions
    person: Person
    counts: Counter[str]


def fold(evaluator: Evaluator, events: list[tuple[int, Event]], now: int) -> Folded:
    """Fold events, each at its time of arrival, and the timers up to ``now``."""
    user, person, counts = UserConditions(), Person("u1", NoValues()), Counter[str]()
    for at, event in events:
        expire(evaluator, user, person, at)
        person.late_before = at - ORDER_WITHIN_MS
        evaluator.observe(user, event, at, person)
        counts[event.type] += 1
    expire(evaluator, user, person, now)
    person.known_since, person.late_before = user.state.known_since, now - ORDER_WITHIN_MS
    return Folded(user, person, counts)


def expire(evaluator: Evaluator, user: UserConditions, person: Person, until: int) -> None:
    at = 0
    while (due := evaluator.next_clause_due(user, at, person)) <= until:
        evaluator.expire_clauses(user, due, person)
        at = due


def is_exact(clause: c.Condition) -> bool:
    """Return whether the joint entry of a clause is promised to be exact."""
    return not isinstance(clause, c.SequenceClause | c.AbsentClause)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_joint_entries_are_those_of_one_user_with_all_events(seed: int) -> None:
    rng = random.Random(seed)
    program = ConditionProgram(parse_segments(random_segments(rng, 6)))
    evaluator = Evaluator(program)
    arrivals = [one for one in random_arrivals(rng, 30) if one.event is not None]
    if not arrivals:
        return
    events = [(one.now, one.event) for one in arrivals if one.event is not None]
    parts: list[list[tuple[int, Event]]] = [[], []]
    for pair in events:
        parts[rng.random() < 0.5].append(pair)
    if not all(parts):
        return
    now = events[-1][0]
    known, visitor = (fold(evaluator, part, now) for part in parts)
    whole = fold(evaluator, events, now)
    visitor.conditions.settle()

    sides = [PersonSide(one.conditions.state.known_since, one.counts) for one in (known, visitor)]
    known.conditions.state.known_since = whole.conditions.state.known_since
    join_clauses(program, known.conditions, visitor.conditions.state, Joining(now, known.person, whole.person, *sides))

    for leaf in program.leaves.values():
        if isinstance(leaf.clause, c.ValueClause):
            continue
        one, other = known.conditions.entry(leaf), whole.conditions.entry(leaf)
        truths = [leaf.truth(entry, now, whole.person) for entry in (one, other)]
        if isinstance(leaf.clause, c.AbsentClause):
            assert not truths[0] or truths[1], leaf  # it never becomes true too early
        elif is_exact(leaf.clause):
            assert truths[0] == truths[1], leaf
            other = None if other is None else leaf.forget(other, now, whole.person)
            contents = [None if entry is None else entry.encode() for entry in (one, other)]
            assert contents[0] == contents[1] or _has_ties(events), leaf


def _has_ties(events: list[tuple[int, Event]]) -> bool:
    times = [min(event.at, now) for now, event in events]
    return len(set(times)) < len(times)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_sequence_is_exact_if_the_order_of_all_events_may_still_change(seed: int) -> None:
    rng = random.Random(seed)
    rule = {"sequence": [{"event": "product_view"}, {"event": "cart_add"}], "without": "purchase", "within": "30m"}
    program = ConditionProgram(parse_segments([{"name": "s", "when": rule}]))
    evaluator, now = Evaluator(program), 1_700_000_000_000
    (leaf,) = program.leaves.values()
    kinds: list[Any] = [rng.choice(["product_view", "cart_add", "purchase"]) for _ in range(8)]
    times = [now + i * 60_000 for i in range(8)]
    events = [(at, Event(id=f"m{at}", user="u", type=kind, at=at)) for at, kind in zip(times, kinds, strict=True)]
    parts: list[list[tuple[int, Event]]] = [[], []]
    for pair in events:
        parts[rng.random() < 0.5].append(pair)
    end = events[-1][0]
    known, visitor, whole = (fold(evaluator, part, end) for part in (*parts, events))
    visitor.conditions.settle()

    sides = [PersonSide(one.conditions.state.known_since, one.counts) for one in (known, visitor)]
    known.conditions.state.known_since = whole.conditions.state.known_since
    join_clauses(program, known.conditions, visitor.conditions.state, Joining(end, known.person, whole.person, *sides))

    truths = [leaf.truth(one.conditions.entry(leaf), end, whole.person) for one in (known, whole)]
    assert truths[0] == truths[1]
