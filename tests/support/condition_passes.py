"""Random conditions over a random stream, in the three passes of the fold: all facts of a piece, then all decisions."""

from __future__ import annotations

from typing import Any, NamedTuple

from models.conditions.evaluator import Evaluator
from models.conditions.leaf import Person
from models.conditions.periods import NEVER
from models.conditions.program import ConditionProgram
from models.conditions.recording import RecordedView, TruthRecord
from models.conditions.steps import ClauseStep, ValueChange
from models.conditions.user_state import UserConditions
from models.places import zones
from tests.support.condition_runs import AFTER_MS, ORDER_WITHIN_MS, Case, Moves, TestValues
from tests.support.random_conditions import StreamArrival


class PassStep(NamedTuple):
    """A step that waits for the decisions.

    Attributes
    ----------
    at
        Its time.
    is_timer
        Whether it is a timer of the clauses.
    clauses
        What the first pass has found; ``None`` for nothing.
    traits, zone
        The user as of the step.
    score
        The score that is new.
    """

    at: int
    is_timer: bool
    clauses: ClauseStep | None
    traits: dict[str, Any]
    zone: Any
    score: tuple[str, float | None] | None = None


class PassesRun:
    """The evaluation of a case in pieces."""

    def __init__(self, case: Case) -> None:
        self.evaluator = Evaluator(ConditionProgram(case.rules, case.covered))
        self.user, self.values, self.moves = UserConditions(), TestValues(), Moves()
        self.person = Person("u", self.values)
        self.decided = TestValues()
        self.due = self.wait_due = NEVER
        self.seen: set[str] = set()
        self.steps: list[PassStep] = []
        self.record = TruthRecord()
        if case.known_since:
            self.user.state.known_since = case.known_since
            step = self.evaluator.adopt(self.user, case.begins, self.person)
            self._note(self.evaluator.decide(self.user, step, case.begins, self.person))
            self.due = self.evaluator.next_clause_due(self.user, case.begins, self.person)
            self.wait_due = self.evaluator.next_wait_due(self.user, case.begins, self.person)

    def fold(self, arrivals: list[StreamArrival]) -> None:
        """Fold one piece."""
        self.steps, self.record = [], TruthRecord()
        for arrival in arrivals:
            self._facts(arrival)
        self._decide(arrivals[-1].now)

    def _facts(self, arrival: StreamArrival) -> None:
        now, event, evaluator = arrival.now, arrival.event, self.evaluator
        self.person.late_before = now - ORDER_WITHIN_MS
        while self.due <= now:
            at = self.due
            self._keep(at, evaluator.expire_clauses(self.user, at, self.person), is_timer=True)
            self.due = evaluator.next_clause_due(self.user, at, self.person)
        if arrival.score is not None:
            self.steps.append(PassStep(now, False, None, self.values.traits, self.person.zone, arrival.score))
        if event is None or event.id in self.seen:
            return
        self.seen.add(event.id)
        self.values.traits = {**self.values.traits, **(event.traits or {})}
        zone = zones.zone(self.values.traits.get("timezone", "UTC"))
        found = evaluator.observe(self.user, event, now, self.person) or ClauseStep()
        traits = [ValueChange("trait", name) for name in event.traits or ()]
        moved = evaluator.relocate(self.user, zone, now, self.person) if zone != self.person.zone else None
        for other in (evaluator.revalue(self.user, traits, now, self.person), moved):
            if other is not None:
                found.changes += other.changes
                found.dirty |= other.dirty
        self._keep(now, found)
        self.due = evaluator.next_clause_due(self.user, now, self.person)

    def _keep(self, at: int, step: ClauseStep | None, *, is_timer: bool = False) -> None:
        if step is not None:
            self.record.add(len(self.steps), step.changes)
        self.steps.append(PassStep(at, is_timer, step, self.values.traits, self.person.zone))

    def _decide(self, end: int) -> None:
        for number, step in enumerate(self.steps):
            self._wait(step.at - step.is_timer, number - 1, end)
            self.decided.traits = step.traits
            person = Person("u", self.decided, step.zone)
            found = step.clauses or ClauseStep()
            if step.score is not None:
                other = self._score(step, step.score, person)
                found.dirty |= set() if other is None else other.dirty
            if step.is_timer:  # both timers may be due at this time
                waited = self.evaluator.expire_waits(self.user, step.at, person)
                found.dirty |= set() if waited is None else waited.dirty
            self._move(found, step.at, number, end, person)
        self._wait(end, len(self.steps) - 1, end)

    def _score(self, step: PassStep, score: tuple[str, float | None], person: Person) -> ClauseStep | None:
        previous = self.decided.scores.get(score[0])
        self.decided.scores[score[0]] = score[1]
        return self.evaluator.revalue(self.user, [ValueChange("score", score[0], previous)], step.at, person)

    def _wait(self, until: int, number: int, end: int) -> None:
        """Fire the timers of memberships that are due by a time; they come after the step of a number."""
        while self.wait_due <= until:
            at = self.wait_due
            zone, traits = (self.steps[number].zone, self.steps[number].traits) if number >= 0 else (None, None)
            if traits is not None:
                self.decided.traits = traits
            person = Person("u", self.decided, zone or self.person.zone)
            found = self.evaluator.expire_waits(self.user, at, person) or ClauseStep()
            self._move(found, at, number, end, person)

    def _move(self, step: ClauseStep, at: int, number: int, end: int, person: Person) -> None:
        person.known_since = self.user.state.known_since
        view = RecordedView(self.evaluator.program, self.user, person, at).read(self.record, number, end, self.person)
        self._note(self.evaluator.decide_by(self.user, step, at, view))
        self.wait_due = self.evaluator.next_wait_due(self.user, at, person)

    def _note(self, moves: Any) -> None:
        self.moves += [(move.at, move.segment, move.has_entered) for move in moves]


def evaluate_in_passes(case: Case, piece: int) -> tuple[Moves, bytes]:
    """Return all moves in pieces of a size, and the entries of the clauses at the end."""
    run = PassesRun(case)
    for begin in range(0, len(case.arrivals), piece):
        run.fold(case.arrivals[begin : begin + piece])
    if case.arrivals:
        run.fold([StreamArrival(case.arrivals[-1].now + AFTER_MS)])
    run.user.settle()
    return run.moves, repr((run.user.state, run.user.memberships)).encode()
