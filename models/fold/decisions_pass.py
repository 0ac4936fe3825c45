"""The third pass over a piece of the log: what follows from the scores, and what the planner decides.

Only steps that have something to decide are worked through, in the order of the log. A deferred message is released at
the step before which its timer is due.
"""

from __future__ import annotations

from dataclasses import replace

from models.batch import Output
from models.fold.aligned_results import Aligned, AlignedResults
from models.fold.assessment import crosses
from models.fold.campaign_decisions import CampaignDecisions
from models.fold.clause_steps import instant_of
from models.fold.decision_timers import DecisionTimers
from models.fold.effects import StepEffects
from models.fold.failures import Cause, StepFailed
from models.fold.goal_decisions import follow_goals
from models.fold.known_failures import KnownFailures
from models.fold.live_user import DECIDED, PENDING, RUNS, WAITS, LiveUser
from models.fold.message_counts import decided_moves
from models.fold.order_following import OrderFollowing
from models.fold.outputs import count_effects, encode_effects, encode_signals
from models.fold.piece import Piece, Step
from models.fold.reactions import Reactions, with_trust
from models.fold.run_orders import REACH
from models.fold.scores import PieceScores
from models.fold.segment_decisions import SegmentDecisions
from models.profile.ledger import NEVER, Ledger, Timer
from models.profile.open_examples import pack_row
from models.profile.signals import Signal
from models.units import HOUR

RETRY_MS = HOUR
"""Time after which the runs of a user go on whose timer has failed, milliseconds."""


class DecisionsPass:
    """The decisions of one piece.

    Parameters
    ----------
    piece
        What the first pass has left.
    scores
        The scores of its rows.
    failures
        The failures of the piece's last step, if it is known to fail.
    """

    def __init__(self, piece: Piece, scores: PieceScores, failures: KnownFailures) -> None:
        self._failures = failures
        self._piece = piece
        self._scores = scores
        self._versions = piece.versions
        self._outputs = piece.outputs
        self._timers = DecisionTimers(piece)
        segments = piece.versions.segments
        self._names: tuple[str, ...] = () if segments is None else segments.names
        self._aligned = AlignedResults(piece.versions, scores, self._names)
        self._numbers: dict[str, int] = {} if segments is None else segments.numbers
        conditions = piece.versions.conditions
        by_rule = None if conditions is None else SegmentDecisions(piece, scores, conditions, self._names, self._timers)
        self._by_rule, self._features = by_rule, None if by_rule is None else by_rule.features
        self._reactions = Reactions(piece, by_rule, self._timers)
        self._campaigns: CampaignDecisions | None = None
        if by_rule is not None and piece.versions.campaigns.orders:
            self._campaigns = CampaignDecisions(piece, by_rule, self._reactions.recipient)
        self._orders = OrderFollowing(piece, self._reactions, self._timers, failures)

    def run(self) -> None:
        """Make all decisions, and bring the ledgers to the end of the piece.

        Raises
        ------
        StepFailed
            A step has failed; all steps before it have succeeded.
        """
        self._aligned.add(self._piece.alignments)
        self._complete_examples()
        steps = {id(step): step for step in (*self._find_moves(), *self._piece.agenda)}
        for step in sorted(steps.values(), key=_number):
            self._release_before(step.number)
            while self._orders.follow_before(step.user, step.number, self._piece.cause_of(step)):
                self._release_before(step.number, needs_step=True)
            self._aligned.apply_before(step.number + 1)
            try:
                if (timer := step.timer) is not None and timer.name in DECIDED:
                    if step.user.decided.get(timer.name) == timer.due:  # otherwise the timer was moved since
                        self._outputs.add_decided(step.number, self._fire(step, timer, self._piece.cause_of(step)))
                elif timer is None or timer.name != REACH:
                    self._decide(step)
                elif not self._orders.rejects(step):
                    self._judge(step)
            except Exception as error:
                raise StepFailed(step.number, error, self._piece.cause_of(step)) from error
        self._release_before(self._piece.number + 1)
        self._aligned.apply_before(self._piece.number + 1)
        for row, scored in enumerate(self._piece.rows):
            if scored is not None and scored.user.row == row:
                self._apply(scored.user, row)

    # --- scores ----------------------------------------------------------------------------------------------------

    def _complete_examples(self) -> None:
        for example, step in self._piece.taken:
            ledger = step.user.ledger
            example.packed = pack_row(self._scores.row(step.row))
            example.risk, example.version = ledger.risk, ledger.risk_version
            if self._scores.risks is not None and step.user.facts.identified:
                example.risk, example.version = self._scores.risks[step.row], self._versions.churn_number

    def _find_moves(self) -> list[Step]:
        """Return the steps whose scores say something new: another segment, or a risk that has crossed a threshold."""
        segments, risks, thresholds = self._scores.segments, self._scores.risks, self._versions.risk_thresholds
        numbers, found, aligned = self._numbers, [], self._aligned.by_user()
        by_rule = self._by_rule
        for row, step in enumerate(self._piece.rows):
            if step is None:
                continue
            user, before = step.user, step.before
            first: Ledger | Aligned = aligned.get(user.key, user.ledger)
            if segments is not None:
                known = numbers.get(first.segment or "") if before < 0 else segments[before]
                step.has_moved = segments[row] != known
            if risks is not None and thresholds and user.facts.identified:
                previous = (first.risk or 0.0) if before < 0 else risks[before]
                step.has_moved |= crosses(thresholds, previous, risks[row])
            if by_rule is not None:
                step.has_crossed = by_rule.may_change(step)
            if step.has_moved or step.has_crossed:
                found.append(step)
        return found

    def _apply(self, user: LiveUser, row: int) -> None:
        """Record in the ledger what the models say at a row; nothing for the row -1."""
        step = self._piece.rows[row] if row >= 0 else None
        if step is None:
            return
        ledger, scores, versions = user.ledger, self._scores, self._versions
        if scores.segments is not None:
            ledger.segment, ledger.segment_version = self._names[scores.segments[row]], versions.segments_number
        if scores.risks is not None and user.facts.identified:
            ledger.risk, ledger.risk_version, ledger.risk_at = scores.risks[row], versions.churn_number, step.now
        if self._features is not None:
            self._features.issue(ledger, row)

    # --- steps -----------------------------------------------------------------------------------------------------

    def _decide(self, step: Step) -> None:
        user, ledger, effects, by_rule = step.user, step.user.ledger, StepEffects(), self._by_rule
        adopted: list[Signal] = []
        if step.adoption is not None and by_rule is not None:
            self._apply(user, step.before if step.is_scored else step.row)
            adopted = by_rule.adopt(step)
        self._judge(step)
        if step.has_moved:
            effects.signals = self._signals(step)
            if not (step.has_work or step.has_crossed or self._reactions.are_awaited(effects.signals)):
                self._write_signals(step, effects.signals)
                return
        self._apply(user, step.row)
        if step.rfm is not None:
            ledger.rfm = step.rfm.after
        if by_rule is not None and (step.clauses is not None or step.has_crossed or step.rfm is not None):
            effects.signals += by_rule.decide(step)
        for task in step.agenda or ():
            task(effects, ledger, self._scores)
        if self._campaigns is not None:
            if step.turn_of is not None:
                self._campaigns.take_turn(step, effects)
            if step.is_goal:
                self._campaigns.convert(step, effects)
        if adopted or effects.signals or effects.handed_over:
            effects.signals = [*adopted, *with_trust(step, effects.signals)]
            self._reactions.react(step, effects)
        if not step.is_silent:
            self._reactions.follow(step, instant_of(step), effects)
            follow_goals(self._piece, step, effects)
        if effects.has_moved_pending:
            self._timers.schedule_pending(user, step)
            # A profile ends at the step of the login notice. Earlier steps of the piece see it as it ended, too.
            if user.is_merged and step.event is not None and step.event.identity is not None:
                self._timers.set(user, WAITS, NEVER, step.number)
                self._timers.set(user, RUNS, NEVER, step.number)
        self._emit(step, effects)

    def _signals(self, step: Step) -> list[Signal]:
        """Return the signals that follow from the scores of a step."""
        user, scores, versions, before = step.user, self._scores, self._versions, step.before
        name, at, cause, signals = user.name, step.at, step.cause, list[Signal]()
        if scores.segments is not None:
            number, entered = versions.segments_number, self._names[scores.segments[step.row]]
            left = user.ledger.segment if before < 0 else self._names[scores.segments[before]]
            if left is not None and left != entered:
                signals.append(Signal(kind="segment_left", user=name, at=at, cause=cause, name=left, version=number))
            if left != entered:
                entry = Signal(kind="segment_entered", user=name, at=at, cause=cause, name=entered, version=number)
                signals.append(entry)
        if scores.risks is None or versions.churn is None or not user.facts.identified:
            return signals
        risk, previous = scores.risks[step.row], (user.ledger.risk or 0.0) if before < 0 else scores.risks[before]
        if crosses(versions.risk_thresholds, previous, risk):
            signals.append(
                Signal(
                    kind="churn_risk",
                    user=name,
                    at=at,
                    cause=cause,
                    value=risk,
                    previous=previous,
                    version=versions.churn_number,
                    reasons=versions.churn.reasons(scores.row(step.row)),
                )
            )
        return signals

    def _write_signals(self, step: Step, signals: list[Signal]) -> None:
        """Write the signals of a step that nothing else follows from."""
        self._outputs.add_decided(step.number, encode_signals(step.user.key, with_trust(step, signals)))
        for signal in signals:
            self._outputs.count("signals", signal.kind)

    def _judge(self, step: Step) -> None:
        """Decide the audiences of campaigns, as of before the step."""
        if step.judges and self._campaigns is not None:
            self._apply(step.user, step.before if step.is_scored else step.row)
            self._campaigns.judge(step)

    def _emit(self, step: Step, effects: StepEffects) -> None:
        user, number = step.user, step.number
        if self._campaigns is not None and effects.decisions:
            self._campaigns.note(step, effects.decisions, have_waited=False)
        if step.turn_of is not None:
            self._outputs.count("timers_fired", "campaign")
        self._outputs.add_decided(number, _records(self._piece, user, effects))

    # --- timers that decisions set ---------------------------------------------------------------------------------

    def _release_before(self, number: int, *, needs_step: bool = False) -> None:
        """Fire the timers that are due before the step of this number; ``needs_step`` says that they follow from it."""
        for user, release in self._timers.due_before(number):
            cause = self._timers.cause_of(release)
            if self._orders.follow_before(user, release.number, cause, release):
                continue
            self._aligned.apply_before(release.number)
            try:
                timer = Timer(release.entry[0], release.name)
                step = Step(
                    user, release.number - 1, release.now, None, timer, self._piece.row_before(user, release.number)
                )
                records = self._fire(step, timer, cause)
            except Exception as error:
                raise StepFailed(release.number, error, cause, is_release=True, needs_step=needs_step) from error
            self._outputs.add_released(release.number, records)

    def _fire(self, step: Step, timer: Timer, cause: Cause) -> list[Output]:
        """Fire a timer that a decision has set, unless this is known to fail; return the records."""
        user, effects = step.user, StepEffects()
        self._timers.set(user, timer.name, NEVER, step.number)
        if (error := self._failures.meet(cause)) is not None:
            if timer.name == RUNS:  # the runs go on later, because every run ends
                self._timers.set(user, RUNS, max(timer.due, step.now) + RETRY_MS, step.number)
            return self._outputs.rejected_release(cause, error, step.now)
        self._judge(step)
        self._apply(user, step.row)
        if timer.name == PENDING:
            planner = self._versions.planner()
            if self._campaigns is not None:
                planner = replace(planner, left=self._campaigns.left(step, step.now))
            effects.decisions.extend(planner.release(self._reactions.recipient(step)))
            self._timers.schedule_pending(user, step)
        elif timer.name == RUNS:
            self._reactions.wake(step, timer.due, effects)
        elif timer.name == WAITS and self._by_rule is not None:
            effects.signals = self._by_rule.wait(step, timer.due)
            self._reactions.react(step, effects)
            self._reactions.follow(step, timer.due, effects)
        if effects.has_moved_pending:
            self._timers.schedule_pending(user, step)
        if self._campaigns is not None and effects.decisions:
            self._campaigns.note(step, effects.decisions, have_waited=timer.name == PENDING)
        records = _records(self._piece, user, effects)
        self._outputs.count("timers_fired", timer.name)
        self._piece.has_success = True
        return records


def _records(piece: Piece, user: LiveUser, effects: StepEffects) -> list[Output]:
    """Return the records of the effects of a step, and count the effects."""
    piece.messages += decided_moves(effects.decisions)
    records = encode_effects(user.key, effects)
    count_effects(effects, piece.outputs.counts)
    return records


def _number(step: Step) -> int:
    return step.number
