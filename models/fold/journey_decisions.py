"""The journeys in the third pass: after the rules of a step, the runs of its user go on, and new ones begin.

The order within a step is goals, exits, waits, entries, planner. All questions of a run are answered as of the step.
Truths of clauses are those that the first pass has recorded, and values are those that the decision sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from models.conditions.clauses import Condition, Scalar
from models.conditions.periods import NEVER
from models.conditions.truth import Truth
from models.configuration.compiled import send_rule
from models.configuration.journeys.definition import CallStep, EventTrigger, SendStep, SetStep
from models.engage.journeys.entering import EntryCause
from models.engage.journeys.events import matches
from models.engage.journeys.machine import COMPLETED, SendVerdict
from models.engage.journeys.walking import CompiledJourney, Walk
from models.engage.recipient import Recipient
from models.fold.decision_timers import DecisionTimers
from models.fold.effects import StepEffects
from models.fold.live_user import RUNS
from models.fold.member_entries import MemberEntries
from models.fold.piece import Piece, Step
from models.fold.run_settling import RunSettling, tell
from models.fold.segment_decisions import SegmentDecisions
from models.fold.user_values import time_zone
from models.profile.ledger import Ledger
from models.profile.runs import MAX_CHAIN, Run, UserRuns
from models.profile.signals import Signal

MAX_MARKS = 100
"""Maximum number of marks of a user; the oldest is forgotten first."""


class LaterRound(NamedTuple):
    """A further round of a step, which the runs have seen already, because a mark has changed.

    Attributes
    ----------
    signals
        The signals of the round.
    depth
        Number of runs that have led to the change.
    is_last
        Whether there were too many rounds. Then no run goes on, and each entry is refused as too deep.
    """

    signals: list[Signal]
    depth: int
    is_last: bool = False


class JourneyDecisions:
    """The decisions of one piece about journeys.

    Parameters
    ----------
    piece
        The piece.
    conditions
        The decisions about segments, which answer the conditions of journeys.
    timers
        The timers that decisions set.
    """

    def __init__(self, piece: Piece, conditions: SegmentDecisions, timers: DecisionTimers) -> None:
        self._piece = piece
        self._journeys = piece.versions.journeys
        self._conditions = conditions
        self._timers = timers
        self._settling = RunSettling(piece)
        self._members = MemberEntries(piece)

    def __repr__(self) -> str:
        """Show the journeys."""
        return f"JourneyDecisions({self._journeys!r})"

    def settle(self, step: Step, recipient: Recipient, effects: StepEffects, until: int) -> int:
        """Let the runs of a user follow the orders that they have not followed yet, see :class:`RunSettling`."""
        return self._settling.settle(step, recipient, effects, until)

    def are_awaited(self, signals: list[Signal]) -> bool:
        """Return whether a signal may let a user enter a journey."""
        return any(self._journeys.awaits(signal) for signal in signals)

    def follow(
        self, step: Step, at: int, recipient: Recipient, effects: StepEffects, later: LaterRound | None = None
    ) -> None:
        """Let the runs of a user see a step, and let new ones begin.

        Parameters
        ----------
        step
            The step: an event, or a timer.
        at
            Time as of which conditions are decided at the step, milliseconds.
        recipient
            The user as a decision sees the user.
        effects
            The effects of the step; decisions and signals are added.
        later
            The round, if it is not the first one of the step.
        """
        user = step.user
        found = later or LaterRound(effects.signals, 0)
        depth = MAX_CHAIN + 1 if found.is_last else found.depth
        entries = [(one, by._replace(depth=depth)) for one, by in self._entered(step, found.signals)]
        if later is None:
            entries = [*self._entered_by_event(step), *entries]
        members = self._members
        has_members = bool(members.schedules) or (step.adoption is not None and bool(members.takers))
        if RUNS not in user.decided and step.user.ledger.runs is None and not entries and not has_members:
            return
        self._settling.settle(step, recipient, effects)  # runs may have come with the step
        walk = self._walk(step, at, recipient, effects)
        if later is None and has_members:
            entries += members.entered(step, walk, {one.journey.name for one, _ in entries})
        before = walk.runs
        if before.active and not found.is_last:
            walk.go_on(step.event if later is None else None)
        for compiled, by in entries:
            walk.enter(compiled, by)
        if walk.runs != before:
            user.ledger.runs = walk.runs
            user.has_changed = True
        exited = {move.run for move in walk.moves if move.kind == "ended" and move.outcome != COMPLETED}
        if exited and user.ledger.pending:
            effects.decisions += self._piece.versions.planner().recall(exited, recipient)
            effects.has_moved_pending = True
        due = min(walk.next_due() if walk.runs.active else NEVER, members.next_due(step, walk))
        self._timers.set(user, RUNS, due, step.number)
        tell(self._piece, step, walk.moves, effects)

    def _walk(self, step: Step, at: int, recipient: Recipient, effects: StepEffects) -> Walk:
        view = self._conditions.view(step, at)
        # After a jump of the clock, a timer of the user may be due before a run goes on that waits for a later time.
        reached = at if step.timer is None else min(step.timer.due, at)
        view.person.zone = time_zone(recipient.customer.facts.traits, self._piece.versions.configuration)

        def ask(clause: Condition) -> Truth:
            return self._conditions.truth(view, clause)

        def world(compiled: CompiledJourney, walk: Walk) -> _FoldWorld:
            return _FoldWorld(self._piece, compiled, walk, recipient, effects)

        runs = step.user.ledger.runs or UserRuns()
        return Walk(self._journeys.rules, runs, reached, view.person, ask, world)

    def _entered_by_event(self, step: Step) -> Iterator[tuple[CompiledJourney, EntryCause]]:
        """Yield the journeys that the event of a step lets its user enter, with the trigger."""
        event = step.event
        if event is not None and step.is_awaited:
            for one in self._journeys.entered_by_event(event):
                on = one.journey.enter.on
                if isinstance(on, EventTrigger) and matches(on.match, event, {}):
                    yield one, EntryCause(event.id, step.at, event, event.trust == "public")

    def _entered(self, step: Step, signals: list[Signal]) -> Iterator[tuple[CompiledJourney, EntryCause]]:
        """Yield the journeys that signals of a step let its user enter, with the trigger."""
        for signal in signals:
            for one in self._journeys.entered_by_signal(signal):
                cause = signal.cause if step.event is not None else f"{signal.cause}:{signal.at}"
                yield one, EntryCause(cause, min(signal.at, step.now), None, signal.public)


class _FoldWorld:
    """The outside of a run, for one user at one step of the fold.

    Parameters
    ----------
    piece, compiled, walk
        The piece, the journey, and the walk.
    recipient
        The user as a decision sees the user.
    effects
        The effects of the step.
    """

    def __init__(
        self,
        piece: Piece,
        compiled: CompiledJourney,
        walk: Walk,
        recipient: Recipient,
        effects: StepEffects,
    ) -> None:
        self._planner = piece.versions.planner()
        self._reached = piece.versions.journeys.reached
        self._compiled = compiled
        self._walk = walk
        self._recipient = recipient
        self._effects = effects
        self.zone = walk.zone
        self.user = recipient.user

    def __repr__(self) -> str:
        """Name the user."""
        return f"_FoldWorld({self.user!r})"

    @property
    def _ledger(self) -> Ledger:
        return self._recipient.customer.ledger

    def reach(self, run: Run) -> None:
        """Record a place for a test that asks for it."""
        if self._reached is not None:
            self._reached.add((run.journey, run.place))

    def truth(self, condition: Condition, run: Run) -> Truth:
        """Return the truth of a condition for a run."""
        return self._walk.truth(condition, run)

    def send(self, run: Run, step: SendStep, key: str) -> SendVerdict:
        """Let the planner decide about a message."""
        rule = send_rule(self._compiled.journey, step)
        signal = Signal(
            kind="journey_step",
            user=self.user,
            at=run.held_since or self._walk.at,
            cause=key,
            name=rule.name,
            properties=run.entry or None,
            public=run.is_public,
            run=run.id,
        )
        decision = self._planner.plan(rule, signal, self._recipient)
        self._effects.decisions.append(decision)
        self._effects.has_moved_pending = True
        return SendVerdict(decision.outcome, decision.reason)

    def call(self, run: Run, step: CallStep, key: str) -> None:  # noqa: ARG002 - an interface has one form
        """Refuse to call: no configuration with such a step can be applied yet."""
        raise AssertionError(step)

    def mark(self, run: Run, step: SetStep) -> None:
        """Set marks of the user."""
        before = self._ledger.marks
        marks: dict[str, Scalar] = {**before, **dict(step.marks)}
        while len(marks) > MAX_MARKS:
            del marks[next(iter(marks))]
        self._ledger.marks = marks
        self._effects.note_marks(before, marks, run.depth + 1)
