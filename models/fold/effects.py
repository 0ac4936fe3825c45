"""The effects that a step has besides the changed state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.batch import Output
from models.conditions.clauses import Scalar
from models.delivery.notices import Notice
from models.engage.attribution import ReachedGoal
from models.engage.decisions import Decision
from models.engage.handed_over import HandedMessage
from models.events import Channel
from models.learning.examples import ChurnExample, SegmentExample
from models.profile.signals import Signal


@dataclass(slots=True)
class StepEffects:
    """Effects of one step, each kind in the order in which its effects were added; the fold turns them into records.

    Attributes
    ----------
    signals
        Signals about changes of the user.
    handed_over
        Messages of a visitor about which the planner decides again, because the visitor has logged in.
    decisions
        Decisions of the planner; one with the outcome ``sent`` carries its message.
    churn_examples, segment_examples
        Examples for the learners.
    notices
        Notices to delivery about messages that it already has, with their channels.
    forwarded
        Records for the profile of another user, who is the same person.
    has_moved_pending
        Whether pending messages came from another profile, or went there, so that their timer has to be set again.
    marks
        Marks of the user that have changed in the present round of decisions, with their values before.
    reached
        The goals that the event of the step has reached; ``None`` for none.
    depth
        Number of runs that have led to these changes, one after the other; see ``Run.depth``.
    """

    signals: list[Signal] = field(default_factory=list)
    handed_over: list[HandedMessage] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    churn_examples: list[ChurnExample] = field(default_factory=list)
    segment_examples: list[SegmentExample] = field(default_factory=list)
    notices: list[tuple[Channel, Notice]] = field(default_factory=list)
    forwarded: list[Output] = field(default_factory=list)
    has_moved_pending: bool = False
    marks: dict[str, Scalar | None] | None = None
    depth: int = 0
    reached: list[ReachedGoal] | None = None

    def reach(self, goal: ReachedGoal) -> None:
        """Record a goal that the event of the step has reached."""
        self.reached = [*(self.reached or ()), goal]

    def note_marks(self, before: Mapping[str, Scalar], after: Mapping[str, Scalar], depth: int) -> None:
        """Record which marks of the user have changed, and how many runs have led to the change."""
        for name in (*before, *(name for name in after if name not in before)):
            previous, present = before.get(name), after.get(name)
            if type(previous) is not type(present) or previous != present:  # true is not 1
                self.marks = {name: previous, **(self.marks or {})}
                self.depth = max(self.depth, depth)
