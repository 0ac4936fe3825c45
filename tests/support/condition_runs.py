"""Random conditions over a random stream, by the product's evaluator and by the naive one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

import msgspec

from models.conditions import clauses as c
from models.conditions.clauses import SegmentRule
from models.conditions.evaluator import Evaluator
from models.conditions.leaf import Person
from models.conditions.ordering import references
from models.conditions.parsing import parse_segments
from models.conditions.program import ConditionProgram
from models.conditions.steps import ValueChange
from models.conditions.user_state import ClauseState, Memberships, UserConditions
from models.conditions.writing import hash_of
from models.places import zones
from tests.support.naive_conditions import NaiveUser
from tests.support.random_conditions import StreamArrival, random_arrivals, random_segments

ORDER_WITHIN_MS = 3_600_000
AFTER_MS = 8 * 86_400_000
"""How long the clock goes on after the last arrival, milliseconds."""
Moves = list[tuple[int, str, bool]]


class Case(NamedTuple):
    """Conditions and a stream.

    Attributes
    ----------
    written, rules
        The segments as written, and as read.
    covered
        Time after which clauses have seen every event, by the number of the clause.
    arrivals
        The stream.
    known_since
        Time of the user's first event, long before the conditions were applied; 0 for a user who is new.
    features
        The features when the conditions were applied, by name.
    after
        How long the clock goes on after the last arrival, milliseconds.
    applied
        Time at which the conditions are applied, milliseconds; 0 for the millisecond before the first arrival.
    """

    written: list[dict[str, Any]]
    rules: tuple[SegmentRule, ...]
    covered: dict[int, int]
    arrivals: list[StreamArrival]
    known_since: int = 0
    features: Mapping[str, float] = {}
    after: int = AFTER_MS
    applied: int = 0

    @property
    def begins(self) -> int:
        """Time at which the conditions are applied."""
        if self.applied:
            return self.applied
        return self.arrivals[0].now - 1 if self.arrivals else 0


class TestValues:
    """The values of a user in a test."""

    __test__ = False

    def __init__(self) -> None:
        self.traits: dict[str, Any] = {}
        self.scores: dict[str, float | None] = {}

    def value(self, subject: str, name: str) -> Any:
        return self.traits.get(name) if subject == "trait" else self.scores.get(name)

    def learned_since(self, segment: str) -> int | None:
        return None


def random_case(seed: int, number_of_segments: int, number_of_arrivals: int) -> Case:
    """Return the case of a seed."""
    rng = random.Random(seed)
    written = random_segments(rng, number_of_segments)
    rules, arrivals = parse_segments(written), random_arrivals(rng, number_of_arrivals)
    covered: dict[int, int] = {}
    if not arrivals or rng.random() < 0.5:
        arrivals = list(dropwhile(_is_score, arrivals))  # a user who is not known has no scores
        return Case(written, rules, covered, arrivals)
    begins = arrivals[0].now - 1
    for rule in rules:
        for leaf in leaves(rule.when):
            if rng.random() < 0.6 and isinstance(leaf, c.EventClause | c.AbsentClause | c.SequenceClause):
                covered.setdefault(hash_of(leaf), begins - rng.choice((0, 0, 0, 1, 3_600_000, 86_400_000)))
    return Case(written, rules, covered, arrivals, begins - rng.choice((0, 1, 3_600_000, 7_200_001, 172_800_000)))


def _is_score(arrival: StreamArrival) -> bool:
    return arrival.event is None


def leaves(condition: c.Condition) -> Iterator[c.Condition]:
    """Yield the clauses of a condition."""
    if isinstance(condition, c.AllOf | c.AnyOf | c.NoneOf):
        for inner in condition.of:
            yield from leaves(inner)
    else:
        yield condition


def evaluate(case: Case, batch: int) -> tuple[Moves, bytes]:
    """Return all moves, and the final state, of the product's evaluator; the state is encoded after each batch."""
    run = _Run(Evaluator(ConditionProgram(case.rules, case.covered)))
    if case.known_since:
        run.adopt(case)
    for begin in range(0, len(case.arrivals), batch):
        run.load()
        for arrival in case.arrivals[begin : begin + batch]:
            run.step(arrival)
        run.store()
    run.load()
    if case.arrivals:
        run.move(case.arrivals[-1].now + AFTER_MS)
    run.store()
    return run.moves, run.content


class _Run:
    """A run of the evaluator over a stream, as the fold would do it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.moves: Moves = []
        self.content = b""
        self.user = UserConditions()
        self.values = TestValues()
        self.person = Person("u", self.values)
        self.due = 2**63 - 1
        self.seen: set[str] = set()

    def load(self) -> None:
        if self.content:
            state, members = msgspec.msgpack.decode(self.content, type=tuple[ClauseState, Memberships])
            self.user = UserConditions(state, members)

    def store(self) -> None:
        self.user.settle()
        self.content = msgspec.msgpack.encode((self.user.state, self.user.memberships))

    def adopt(self, case: Case) -> None:
        """Apply the conditions to a user who was known before."""
        self.user.state.known_since = case.known_since
        self.decide(self.evaluator.adopt(self.user, case.begins, self.person), case.begins)
        self.due = self.evaluator.next_due(self.user, case.begins, self.person)
        self.store()

    def move(self, now: int) -> None:
        """Move the clock, and fire the timers that are due."""
        self.person.late_before = now - ORDER_WITHIN_MS
        while self.due <= now:
            at = self.due
            step = self.evaluator.expire(self.user, at, self.person)
            if step is not None:
                self.decide(step, at)
            self.due = self.evaluator.next_due(self.user, at, self.person)
            assert self.due > at

    def step(self, arrival: StreamArrival) -> None:
        """Apply an arrival: facts, then clauses, then segments."""
        self.move(arrival.now)
        now, event, steps = arrival.now, arrival.event, []
        if event is None:
            assert arrival.score is not None
            name, value = arrival.score
            previous = self.values.scores.get(name)
            self.values.scores[name] = value
            steps.append(self.evaluator.revalue(self.user, [ValueChange("score", name, previous)], now, self.person))
        elif event.id not in self.seen:
            self.seen.add(event.id)
            self.values.traits |= event.traits or {}
            zone = zones.zone(self.values.traits.get("timezone", "UTC"))
            steps.append(self.evaluator.observe(self.user, event, now, self.person))
            changes = [ValueChange("trait", name) for name in event.traits or ()]
            steps.append(self.evaluator.revalue(self.user, changes, now, self.person))
            if zone != self.person.zone:
                steps.append(self.evaluator.relocate(self.user, zone, now, self.person))
        found = [step for step in steps if step is not None]
        if found:
            for other in found[1:]:
                found[0].changes += other.changes
                found[0].dirty |= other.dirty
            self.decide(found[0], now)
        self.due = self.evaluator.next_due(self.user, now, self.person)

    def decide(self, step: Any, at: int) -> None:
        for move in self.evaluator.decide(self.user, step, at, self.person):
            self.moves.append((at, move.segment, move.has_entered))


def evaluate_naively(case: Case) -> Moves:
    """Return all moves by the naive evaluator."""
    rules = {rule.name: rule.when for rule in ordered(case.rules)}
    covered = {
        leaf: case.covered[hash_of(leaf)]
        for rule in rules.values()
        for leaf in leaves(rule)
        if hash_of(leaf) in case.covered
    }
    user, moves, seen, before = NaiveUser("u", rules, covered), Moves(), set[str](), 0
    durations = set(_durations(case.rules))
    if case.known_since:
        user.known_since, before = case.known_since, case.begins
        user.scores += _named(case.features)
        moves += user.decide(before)
    last = [StreamArrival(case.arrivals[-1].now + case.after)] if case.arrivals else []
    for arrival in [*case.arrivals, *last]:
        while user.known_since is not None:
            instants = user.instants(before, arrival.now, durations)
            found: Moves = []
            for at in instants:
                before = at
                found = user.decide(at)
                if found:  # a move adds instants
                    moves += found
                    break
            if not found:
                break
        before = arrival.now
        if arrival.event is not None and arrival.event.id not in seen:
            seen.add(arrival.event.id)
            user.add(arrival.event, arrival.now)
        elif arrival.score is not None:
            user.scores.append(arrival.score)
        user.scores += _named(arrival.features)
        moves += user.decide(arrival.now)
    return moves


def _named(features: Mapping[str, float]) -> list[tuple[str, float | None]]:
    return [(f"feature:{name}", value) for name, value in features.items()]


def ordered(rules: Sequence[SegmentRule]) -> list[SegmentRule]:
    """Return the segments, each after those that it refers to."""
    found: list[SegmentRule] = []
    while len(found) < len(rules):
        names = {rule.name for rule in found}
        found += [rule for rule in rules if rule.name not in names and references(rule.when) <= names]
    return found


def _durations(rules: Sequence[SegmentRule]) -> Iterator[int]:
    for rule in rules:
        for leaf in leaves(rule.when):
            match leaf:
                case c.EventClause():
                    yield leaf.window.length
                    if leaf.measure.kind in ("last", "first"):
                        bounds = leaf.measure.bounds
                        yield from (one for one in (bounds.low, bounds.high) if one is not None)
                case c.AbsentClause() | c.SegmentClause():
                    yield leaf.duration
                case c.SequenceClause():
                    yield from (leaf.within, 2 * leaf.within)
                case c.ValueClause():
                    yield from (
                        one for one in (leaf.comes_within, leaf.passed_since, leaf.anniversary) if one is not None
                    )


def compare(case: Case) -> str:
    """Return a description of the first difference between the evaluators or between batches; empty without one."""
    expected = evaluate_naively(case)
    moves, content = evaluate(case, 5_000)
    if sorted(moves) != sorted(expected):
        only = sorted(set(moves) ^ set(expected))
        at, name, has_entered = only[0]
        who = "the product" if (at, name, has_entered) in moves else "the naive evaluator"
        rule = next(one["when"] for one in case.written if one["name"] == name)
        return f"only {who} has the move {only[0]}: {rule}"
    for batch in (1, 7, 500):
        if (moves, content) != evaluate(case, batch):
            return f"other results in batches of {batch}"
    return ""
