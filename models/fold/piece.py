"""A piece of the log, which is folded in three passes: facts, scores, decisions.

1. The first pass folds the facts, step by step, and those timers that follow from facts alone. A step that the models
   score leaves its row of numbers. A step that may have other effects leaves an agenda.
2. The second pass computes the features and scores of all rows at once.
3. The third pass works through the steps that have something to decide, in the order of the log.

Four rules make the result independent of the place at which a log is cut into pieces:

- Facts do not depend on decisions, and scores depend on facts alone.
- A piece has one set of versions: a version or an instruction ends it.
- Decisions see frozen facts: their values are replaced, and never changed in place.
- Each feature is a formula over columns. A row has the same bits alone and beside others.

The first pass also evaluates the clauses of conditions on events, and records when their truth changes. The third pass
decides the segments by rule from this record.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from models.conditions.steps import ClauseStep
from models.engage.attribution import CreditMove, ValueMove
from models.engage.campaigns.moves import CampaignMove
from models.engage.campaigns.orders import Order
from models.engage.journeys.walking import RunMove
from models.events import Event
from models.fold.campaign_walks import CampaignWalks
from models.fold.effects import StepEffects
from models.fold.failures import EVENT, STATEMENT, Cause
from models.fold.live_user import LiveUser
from models.fold.members import MemberCounts, SegmentMove, StayingMember
from models.fold.message_counts import MessageMove
from models.fold.piece_outputs import PieceOutputs
from models.fold.piece_timers import PieceTimers
from models.fold.scores import PieceScores
from models.fold.stages import StageCount
from models.fold.versions import Versions
from models.profile.ledger import IssuedRfm, Ledger, Timer
from models.profile.numbers import NOW, Numbers
from models.profile.open_examples import OpenExample
from models.profile.state import KnownOrder

Task = Callable[[StepEffects, Ledger, PieceScores], None]
"""A part of a step that waits for the third pass, because it needs the ledger or the scores."""


class RfmChange(NamedTuple):
    """The scores of a buyer before a step and after it; ``None`` for none."""

    before: IssuedRfm | None
    after: IssuedRfm


class Step(msgspec.Struct, eq=False, gc=False):
    """The work for one event or one timer of one user.

    Attributes
    ----------
    user
        The user.
    number
        Number of the step in the piece: steps have the order of the log.
    now
        The partition's clock at the step, milliseconds.
    event
        The event; ``None`` for a timer.
    timer
        The timer; ``None`` for an event.
    row
        The user's newest row at the step; -1 if the user has none in this piece.
    before
        The user's row before that one; -1 if it is the user's first one.
    is_scored
        Whether ``row`` is the row of this step.
    has_moved
        Whether the scores of ``row`` say something new.
    has_crossed
        Whether the scores of ``row`` may change a segment by rule.
    agenda
        Tasks for the third pass, in their order.
    adoption
        The segments to decide silently, because the user comes to new conditions; ``None`` for none.
    adopts_from
        Generation of the conditions that the user had before ``adoption``.
    is_unstaged
        Whether the user had no stage of the lifecycle before the step.
    clauses
        The clauses that the step has changed, and the segments to decide; ``None`` for none.
    is_awaited
        Whether a journey may react to the event.
    is_goal
        Whether the event may be the goal of a campaign.
    judges
        The campaigns that judge the user before the step.
    turn_of
        The campaign in which the turn of the user has come; ``None`` for none.
    rfm
        The scores of a buyer that the step issues (:mod:`models.fold.rfm`); ``None`` for none.
    order
        The order of the event as it is known after the step, if goals may read it; otherwise ``None``.
    """

    user: LiveUser
    number: int
    now: int
    event: Event | None
    timer: Timer | None = None
    row: int = -1
    before: int = -1
    is_scored: bool = False
    has_moved: bool = False
    has_crossed: bool = False
    agenda: list[Task] | None = None
    adoption: ClauseStep | None = None
    adopts_from: int = 0
    is_unstaged: bool = False
    clauses: ClauseStep | None = None
    rfm: RfmChange | None = None
    is_awaited: bool = False
    is_goal: bool = False
    judges: tuple[Order, ...] = ()
    turn_of: Order | None = None
    order: KnownOrder | None = None

    @property
    def is_silent(self) -> bool:
        """Whether no rule and no journey reacts to the step, because its event is imported."""
        return self.event is not None and self.event.is_silent

    @property
    def at(self) -> int:
        """Time of the cause: of the event, but not after the clock."""
        return self.now if self.event is None else min(self.event.at, self.now)

    @property
    def has_work(self) -> bool:
        """Whether the step has something to decide that is known before the scores."""
        if self.agenda is not None or self.clauses is not None or self.judges or self.turn_of is not None:
            return True
        return (
            self.is_awaited
            or self.is_goal
            or self.adoption is not None
            or self.rfm is not None
            or self.order is not None
        )

    @property
    def cause(self) -> str:
        """The id of the event, or ``timer:`` and the kind of the timer."""
        if self.event is not None:
            return self.event.id
        return "" if self.timer is None else f"timer:{self.timer.name}"

    def later(self, task: Task) -> None:
        """Leave a task for the third pass.

        The task must not refer to this step. If the step fails, such a task stays in memory, because the garbage
        collector does not track steps.
        """
        if self.agenda is None:
            self.agenda = []
        self.agenda.append(task)


class Alignment(NamedTuple):
    """A row of a user as of the last assessment, before the steps of the piece.

    Attributes
    ----------
    user, row
        The user and the row.
    at
        Time of that assessment, milliseconds.
    number
        Number of the step at which the user is aligned. Decisions before that step see the older results.
    """

    user: LiveUser
    row: int
    at: int
    number: int


class Piece:
    """The results of the first pass that the other two need.

    Parameters
    ----------
    versions
        The versions in use in the whole piece.
    outputs
        The outputs of the piece.
    now
        The partition's clock at the beginning, milliseconds.
    timers
        The order of its records and timers.

    Attributes
    ----------
    number
        Number of the step in progress.
    block, rows
        The numbers of all rows, and the step of each row; ``None`` for a row as of the last assessment.
    alignments
        Rows of users whose ledger has results of older versions.
    agenda
        Steps with something to decide that is known before the scores.
    taken
        Churn examples that were taken in the piece. Each is completed by the scores of its row.
    statements
        Steps that are the statement of an event that is not folded, or not as a whole.
    moves
        Moves of users into segments by rule and out of them, and members who stay if the newest ones have room.
    members
        The members of the segments before the piece; ``None`` without segments.
    stages
        Moves of users between stages of the lifecycle.
    runs
        What has happened to runs of journeys.
    campaigns
        What has happened to users in campaigns.
    messages, values
        What has happened to messages of journeys and campaigns and to their credits, and to the money of their goals.
    walks
        The walks of the campaigns; ``None`` if no campaign was started.
    completes_conditions
        Whether all users have come to the conditions in use by the end of the piece.
    completes_orders
        Whether all users have been reached after the newest order about runs by the end of the piece.
    has_success
        Whether a step was folded.
    """

    def __init__(self, versions: Versions, outputs: PieceOutputs, now: int, timers: PieceTimers) -> None:
        self.versions = versions
        self.outputs = outputs
        self.timers = timers
        self.now = now
        self.number = 0
        self.block: Numbers = array("d")
        self.rows: list[Step | None] = []
        self.alignments: list[Alignment] = []
        self.agenda: list[Step] = []
        self.taken: list[tuple[OpenExample, Step]] = []
        self.statements: list[Step] = []
        self.moves: list[SegmentMove | StayingMember] = []
        self.members: MemberCounts | None = None
        self.stages: list[StageCount] = []
        self.runs: list[RunMove] = []
        self.campaigns: list[CampaignMove] = []
        self.messages: list[MessageMove | CreditMove] = []
        self.values: list[ValueMove] = []
        self.walks: CampaignWalks | None = None
        self.completes_conditions = False
        self.completes_orders = False
        self.has_success = False

    def __repr__(self) -> str:
        """Show the amounts collected."""
        return f"Piece({self.number} steps, {len(self.rows)} rows, {len(self.agenda)} agendas)"

    def begin(self, user: LiveUser, event: Event | None, timer: Timer | None = None) -> Step:
        """Begin a step of a user."""
        return Step(user, self.number, self.now, event, timer, user.row)

    def score(self, step: Step) -> None:
        """Let the second pass score the step's user, as the user is now."""
        user, row = step.user, len(self.rows)
        numbers = user.numbers
        numbers[NOW] = user.ledger.assessed_at = step.now
        self.block += numbers
        self.rows.append(step)
        step.before, step.row, step.is_scored = user.row, row, True
        user.row = row
        user.has_steps = True

    def align(self, user: LiveUser) -> None:
        """Let the second pass score a user as of the last assessment, because the results are those of old versions."""
        numbers, at = user.numbers, user.ledger.assessed_at
        numbers[NOW] = at
        self.alignments.append(Alignment(user, len(self.rows), at, self.number))
        self.block += numbers
        self.rows.append(None)

    def recall(self, user: LiveUser) -> None:
        """Let the second pass compute the features of a user as of the last assessment, for new conditions."""
        user.recalled, numbers = len(self.rows), user.numbers
        numbers[NOW] = user.ledger.assessed_at
        self.block += numbers
        self.rows.append(None)

    def finish(self, step: Step) -> None:
        """Finish a step: keep it if it has something to decide."""
        if step.has_work:
            self.keep(step)

    def keep(self, step: Step) -> None:
        """Keep a step that has something to decide for the third pass."""
        self.agenda.append(step)
        step.user.has_steps = True

    def drop_tasks(self) -> None:
        """Drop the tasks of all steps after the third pass.

        A task may refer to the piece, and the piece refers to its steps. The garbage collector does not see such a
        circle, because it does not track steps. A circle that stays closed keeps all users of the piece in memory.
        """
        for step in self.agenda:
            step.agenda = None

    def row_before(self, user: LiveUser, number: int) -> int:
        """Return the user's newest row before the step of this number; -1 if there is none."""
        row = user.row
        while row >= 0 and (step := self.rows[row]) is not None and step.number >= number:
            row = step.before
        return row

    def cause_of(self, step: Step) -> Cause:
        """Return what identifies a step."""
        offset, timer = self.timers.offset_at(step.number), step.timer
        if timer is not None:
            return Cause(offset, timer.name, timer.due, step.user.key)
        return Cause(offset, STATEMENT if any(step is one for one in self.statements) else EVENT)

    def first_cause(self) -> Cause:
        """Return what identifies the first step."""
        offset, timer = self.timers.offset_at(0), self.timers.timer_at(0)
        return Cause(offset, EVENT) if timer is None else Cause(offset, timer.name, *timer.entry)
