"""The segments by rule in the third pass: a step decides the segments that it may have changed.

The first pass has folded the whole piece already. So a decision reads the truths that the first pass has recorded, and
sees the clauses as they were after its step. Scores are those of the step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC

from models.conditions.clauses import Condition, Scalar, SegmentClause
from models.conditions.evaluator import Evaluator
from models.conditions.leaf import Person
from models.conditions.periods import ALWAYS
from models.conditions.program import ConditionProgram, segment_key
from models.conditions.recording import RecordedView, TruthRecord
from models.conditions.steps import ClauseStep, Move, ValueChange
from models.conditions.truth import Truth
from models.conditions.user_state import UserConditions
from models.conditions.writing import canonical, digest
from models.fold.clause_steps import ADOPT, CLAUSES, instant_of
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.decision_timers import DecisionTimers
from models.fold.issued_features import IssuedFeatures
from models.fold.issued_risks import IssuedRisks
from models.fold.live_user import WAITS, LiveUser
from models.fold.members import SegmentMove, StayingMember
from models.fold.piece import Piece, Step
from models.fold.rfm import changed_scores
from models.fold.scores import PieceScores
from models.fold.stage_decisions import StageDecisions
from models.fold.user_values import DecisionValues, time_zone
from models.profile.ledger import NEVER
from models.profile.signals import Signal

_NO_TRUTHS = TruthRecord()


class SegmentDecisions:
    """The decisions of one piece about segments by rule.

    Parameters
    ----------
    piece, scores
        What the first two passes have left.
    conditions
        The conditions in use.
    names
        Names of the learned segments by number.
    timers
        The timers that decisions set.

    Attributes
    ----------
    features
        The features of the rows; ``None`` if no condition reads one.
    """

    def __init__(
        self,
        piece: Piece,
        scores: PieceScores,
        conditions: ConditionsInUse,
        names: tuple[str, ...],
        timers: DecisionTimers,
    ) -> None:
        self._piece = piece
        self._scores = scores
        self._conditions = conditions
        self._program: ConditionProgram = conditions.program
        self._evaluator: Evaluator = conditions.evaluator
        self._names = names
        self._timers = timers
        self.features = IssuedFeatures(conditions, scores) if conditions.features else None
        self._left: dict[int, str | None] = {}
        # A segment whose newest members may have room; whether they have is decided when the moves are counted.
        self._with_room = set[str]() if piece.members is None else set(piece.members.with_room)
        self._looked_at = 0
        self._stages = None if conditions.machine is None else StageDecisions(piece, conditions)
        self._risks = IssuedRisks(self._program, scores, piece.versions.configuration)

    def __repr__(self) -> str:
        """Show the conditions."""
        return f"SegmentDecisions({self._conditions!r})"

    def may_change(self, step: Step) -> bool:
        """Return whether the scores of a step may change a segment, before the ledger has the newest results."""
        user, before, scores = step.user, step.before, self._scores
        has_moved = self.features is not None and self.features.may_change(step)
        if scores.segments is not None and self._conditions.reads_learned:
            known = user.ledger.segment if before < 0 else self._names[scores.segments[before]]
            if known != self._names[scores.segments[step.row]]:
                self._left[step.number] = known
                has_moved = True
        return self._risks.may_change(step) or has_moved

    # --- decisions -------------------------------------------------------------------------------------------------

    def adopt(self, step: Step) -> list[Signal]:
        """Decide all segments, because the user comes to new conditions before the step.

        Moves are silent, apart from entries into new segments for which that was asked. The signals of those are
        returned.
        """
        assert step.adoption is not None
        user, at = step.user, instant_of(step)
        if self._conditions.reads_learned and not user.ledger.segment_since and user.ledger.segment is not None:
            user.ledger.segment_since = at
        if self.features is not None:
            self.features.adopt(user)
        elif user.ledger.features is not None:
            user.ledger.features = None
        person, found = self._person(step, step.number - 1), step.adoption
        changes = [ValueChange(*name) for name in self._conditions.decided_names]
        if changes:
            self._evaluator.revalue(user.open_conditions(), changes, at, person)
        view = self._view(step, at, step.number - 1, person)
        if self._stages is not None:
            self._stages.adopt(step, found, view)
        moves = self._decide(step, found, view)
        entries = [one for one in moves if one.has_entered and self._enters(one, step)]
        self._count(user, moves, silent={one.segment for one in moves} - {one.segment for one in entries})
        return [self._signal(user.name, move, move.at, f"timer:{ADOPT}") for move in entries]

    def decide(self, step: Step) -> list[Signal]:
        """Decide the segments that a step may have changed, and return the signals."""
        user, at = step.user, instant_of(step)
        found, person = step.clauses or ClauseStep(), self._person(step, step.number)
        if step.has_crossed:
            self._follow_scores(step, found, person)
        if step.rfm is not None:
            names = changed_scores(step.rfm.before, step.rfm.after)
            self._revalue(step, found, [ValueChange("score", name) for name in names], person)
        if step.timer is not None:  # a membership may have lasted for a duration at the same time
            self._add_waits(user, found, at, person)
        view = self._view(step, at, step.number, person)
        signals = [] if self._stages is None else self._stages.decide(step, found, view)
        moves = self._decide(step, found, view)
        self._count(user, moves, silent={one.segment for one in moves} if step.is_silent else ())
        return [] if step.is_silent else [*signals, *(self._signal_of(step, move) for move in moves)]

    def wait(self, step: Step, due: int) -> list[Signal]:
        """Decide the segments whose condition on the duration of a membership may hold now, and return the signals."""
        user, found, person = step.user, ClauseStep(), self._person(step, step.number)
        self._add_waits(user, found, due, person)
        moves = self._decide(step, found, self._view(step, due, step.number, person))
        self._count(user, moves)
        return [self._signal_of(step, move) for move in moves]

    def reads_marks(self, names: Iterable[str]) -> bool:
        """Return whether a condition reads one of these marks."""
        program = self._program
        return any(("mark", name) in program.by_value or ("mark", name) in program.numbers for name in names)

    def follow_marks(self, step: Step, at: int, before: Mapping[str, Scalar | None]) -> list[Signal]:
        """Decide the segments that read marks which have changed at a step, and return the signals.

        Parameters
        ----------
        step, at
            The step, and the time as of which it decides, milliseconds.
        before
            The values of the marks before, by name.
        """
        person, changes = self._person(step, step.number), [ValueChange("mark", *one) for one in before.items()]
        found = self._evaluator.revalue(step.user.open_conditions(), changes, at, person)
        moves = [] if found is None else self._decide(step, found, self._view(step, at, step.number, person))
        self._count(step.user, moves)
        return [self._signal_of(step, move) for move in moves]

    # --- truths for journeys ---------------------------------------------------------------------------------------

    def view(self, step: Step, at: int, *, is_before: bool = False) -> RecordedView:
        """Return the truths after a step or before it, at a time, for :meth:`truth`."""
        number = step.number - 1 if is_before else step.number
        return self._view(step, at, number, self._person(step, number))

    def truth(self, view: RecordedView, clause: Condition) -> Truth:
        """Return the truth of a single clause; unknown if the conditions in use do not know it."""
        program = self._program
        if not isinstance(clause, SegmentClause):
            leaf = program.leaves.get(digest(canonical(clause)))
            return None if leaf is None else view.leaf(leaf)
        index = program.index_of(clause.name)
        if index < 0:
            return view.learned(clause.name, clause.duration)
        return view.segment(index, clause.duration)

    # --- parts of decisions ----------------------------------------------------------------------------------------

    def _add_waits(self, user: LiveUser, found: ClauseStep, due: int, person: Person) -> None:
        if self._program.waits:
            waited = self._evaluator.expire_waits(user.open_conditions(), due, person)
            if waited is not None:
                found.merge(waited)

    def _follow_scores(self, step: Step, found: ClauseStep, person: Person) -> None:
        """Add the segments that read features, scores or learned segments to those that are decided."""
        user = step.user
        changes = [] if self.features is None else self.features.changes(step)
        self._revalue(step, found, [*changes, *self._risks.changes(step)], person)
        if step.number in self._left:
            user.ledger.segment_since = step.now
            for name in (self._left[step.number], user.ledger.segment):
                found.dirty.update(self._program.by_learned.get(name or "", ()))

    def _revalue(self, step: Step, found: ClauseStep, changes: Iterable[ValueChange], person: Person) -> None:
        """Add the segments that read values that have changed."""
        other = self._evaluator.revalue(step.user.open_conditions(), changes, step.now, person)
        if other is not None:
            found.merge(other)

    def _view(self, step: Step, at: int, number: int, person: Person) -> RecordedView:
        """Return the truths after the step of a number, at a time."""
        user = step.user
        due = next((timer.due for timer in user.ledger.timers if timer.name == CLAUSES), NEVER)
        end = min(self._piece.now, due - 1)
        if user.lost is not None:  # what has changed then is not recorded
            end = min(end, user.lost[1] - 1 if number < user.lost[0] else at)
        view = RecordedView(self._program, user.open_conditions(), person, at)
        return view.read(user.truths or _NO_TRUTHS, number, end, user.person or person)

    def _decide(self, step: Step, found: ClauseStep, view: RecordedView) -> list[Move]:
        user, at, person = step.user, view.at, view.person
        conditions: UserConditions = user.open_conditions()
        moves = self._evaluator.decide_by(conditions, found, at, view)
        if moves:
            user.has_changed = True
        if self._program.waits:
            self._timers.set(user, WAITS, self._evaluator.next_wait_due(conditions, at, person), step.number)
        return moves

    def _person(self, step: Step, number: int) -> Person:
        """Return what clauses read of the user after the step of a number."""
        user, configuration = step.user, self._piece.versions.configuration
        facts = user.view_at(number)
        values = DecisionValues(facts, user.ledger, configuration)
        zone = time_zone(facts.traits, configuration) if self._program.zoned else UTC
        return Person(user.name, values, zone, user.facts.known_since)

    def _enters(self, move: Move, step: Step) -> bool:
        return self._conditions.enters(segment_key(move.segment), step.adopts_from)

    def _count(self, user: LiveUser, moves: list[Move], silent: Collection[str] = ()) -> None:
        """Count the moves of a step, and keep the user among the newest members where these have room."""
        counted = self._piece.moves
        for move in moves:
            is_silent = move.segment in silent
            counted.append(SegmentMove(move.segment, user.name, move.has_entered, move.at, is_silent))
            self._piece.outputs.count("segment_moves", move.segment, "entered" if move.has_entered else "left")
        if len(counted) > self._looked_at:
            left = (one for one in counted[self._looked_at :] if isinstance(one, SegmentMove) and not one.has_entered)
            self._with_room.update(one.segment for one in left)
            self._looked_at = len(counted)
        if self._with_room:
            since, segments = user.open_conditions().memberships.since, self._program.segments
            for index in self._program.member_of(since):
                if (name := segments[index].name) in self._with_room:
                    counted.append(StayingMember(name, user.name, since[segments[index].key]))

    def _signal_of(self, step: Step, move: Move) -> Signal:
        return self._signal(step.user.name, move, move.at if step.timer is not None else step.at, step.cause)

    def _signal(self, user: str, move: Move, at: int, cause: str) -> Signal:
        program = self._program
        return Signal(
            kind="segment_entered" if move.has_entered else "segment_left",
            user=user,
            at=at,
            cause=cause,
            name=move.segment,
            clauses=tuple(canonical(program.leaves[key].clause).decode() for key in move.clauses),
            covered_from=_covered_from(program, move.segment),
        )


def _covered_from(program: ConditionProgram, segment: str) -> int:
    """Return the time from which all clauses of a segment have seen all events; 0 if they have seen all there were."""
    one = next(one for one in program.segments if one.name == segment)
    return max(
        (program.leaves[key].covered_from for key in one.leaves if program.leaves[key].covered_from > ALWAYS), default=0
    )
