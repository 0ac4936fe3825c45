"""The reactions to the signals of a step: rules propose messages, and journeys begin and go on."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.engage import rules
from models.engage.recipient import Recipient
from models.fold.decision_timers import DecisionTimers
from models.fold.effects import StepEffects
from models.fold.journey_decisions import JourneyDecisions, LaterRound
from models.fold.live_user import RUNS, LiveUser
from models.fold.piece import Piece, Step
from models.fold.segment_decisions import SegmentDecisions
from models.profile.ledger import NEVER, Ledger
from models.profile.signals import Signal
from models.profile.snapshot import Seen

MAX_ROUNDS = 4
"""Maximum number of rounds of decisions of a step: a mark that a journey sets may change a segment, and so on."""


class _View(NamedTuple):
    """A user as a decision sees the user."""

    facts: Seen
    ledger: Ledger


class Reactions:
    """The reactions within one piece.

    Parameters
    ----------
    piece
        The piece.
    conditions
        The decisions about segments by rule; ``None`` without conditions.
    timers
        The timers that decisions set.
    """

    def __init__(self, piece: Piece, conditions: SegmentDecisions | None, timers: DecisionTimers) -> None:
        self._versions = piece.versions
        self._outputs = piece.outputs
        self._conditions = conditions
        self._journeys: JourneyDecisions | None = None
        self._orders = piece.versions.journeys.orders
        if conditions is not None and piece.versions.journeys:
            self._journeys = JourneyDecisions(piece, conditions, timers)

    def __repr__(self) -> str:
        """Show the journeys."""
        return f"Reactions({self._journeys!r})"

    def are_awaited(self, signals: list[Signal]) -> bool:
        """Return whether a rule or a journey waits for one of the signals."""
        configuration = self._versions.configuration
        for signal in signals:  # a generator would take longer than the loop
            if rules.matching(configuration, signal):
                return True
        return self._journeys is not None and self._journeys.are_awaited(signals)

    def react(self, step: Step, effects: StepEffects) -> None:
        """Let the planner decide about each rule that a signal of the step triggers, and about what is handed over."""
        self._propose(step, effects.signals, effects)
        for handed in effects.handed_over:
            effects.decisions.append(self._versions.planner().take_over(handed, self.recipient(step)))
            effects.has_moved_pending = True

    def _propose(self, step: Step, signals: list[Signal], effects: StepEffects) -> None:
        configuration, recipient = self._versions.configuration, None
        for signal in signals:
            for rule in rules.matching(configuration, signal):
                if signal.confirms and rule.category == "marketing":
                    continue
                recipient = recipient or self.recipient(step)
                effects.decisions.append(self._versions.planner().plan(rule, signal, recipient))
                effects.has_moved_pending = True

    def follow(self, step: Step, at: int, effects: StepEffects) -> None:
        """Let the journeys of the user see the step, whose conditions are decided as of a time."""
        has_moved = step.event is not None and step.event.identity is not None  # runs of a visitor may have come
        has_reason = step.is_awaited or has_moved or bool(effects.signals) or RUNS in step.user.decided
        has_reason |= step.adoption is not None and self._versions.journeys.has_member_entries
        if self._journeys is not None and has_reason:
            self._journeys.follow(step, at, self.recipient(step), effects)
        if effects.marks is not None:
            self._settle(step, at, effects)

    def next_order(self, user: LiveUser) -> int:
        """Return the place of the first order that runs or messages of a user have to follow, ms, or ``NEVER``."""
        if self._journeys is None or not self._orders.are_open(user.ledger):
            return NEVER
        return self._orders.next_of(user.ledger)

    def settle(self, step: Step, effects: StepEffects, until: int) -> int:
        """Let them follow orders up to a place; return that of the newest order that has changed a run, or 0."""
        return 0 if self._journeys is None else self._journeys.settle(step, self.recipient(step), effects, until)

    def wake(self, step: Step, due: int, effects: StepEffects) -> None:
        """Let the runs of the user go on by themselves."""
        if self._journeys is not None:
            self._journeys.follow(step, due, self.recipient(step), effects)
        if effects.marks is not None:
            self._settle(step, due, effects)

    def _settle(self, step: Step, at: int, effects: StepEffects) -> None:
        """Let everything that reads marks see those that have changed, in further rounds of the step.

        A round decides segments, rules and journeys again. After ``MAX_ROUNDS`` rounds, segments still follow the
        marks, but no rule and no journey reacts any more: each entry is refused as ``too_deep``.
        """
        conditions, rounds = self._conditions, 1
        while conditions is not None and effects.marks is not None:
            marks, depth, effects.marks, effects.depth = effects.marks, effects.depth, None, 0
            if not conditions.reads_marks(marks):
                return
            signals, rounds = with_trust(step, conditions.follow_marks(step, at, marks)), rounds + 1
            effects.signals += signals
            is_last = rounds > MAX_ROUNDS
            if is_last:
                self._outputs.count("rounds_too_deep")
            else:
                self._propose(step, signals, effects)
            if self._journeys is not None:
                later = LaterRound(signals, depth, is_last)
                self._journeys.follow(step, at, self.recipient(step), effects, later)
            if is_last:
                return

    def recipient(self, step: Step) -> Recipient:
        """Return the user of a step as a decision sees the user."""
        user = step.user
        return Recipient(user.name, _View(user.view_at(step.number), user.ledger), step.now)


def with_trust(step: Step, signals: list[Signal]) -> list[Signal]:
    """Return the signals of a step, marked as public if everyone could have sent its event."""
    if step.event is None or step.event.trust != "public":
        return signals
    return [msgspec.structs.replace(one, public=True) for one in signals]
