"""One step of the fold: the user that it is about, and the effects that it has besides the changed state."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.delivery.notices import Notice
from models.engage.decisions import Decision
from models.engage.recipient import Recipient
from models.events import Channel
from models.fold.versions import Versions
from models.learning.examples import ChurnExample, SegmentExample
from models.profile.signals import Signal
from models.profile.state import Customer
from models.recommend.interactions import Interaction


@dataclass(slots=True)
class StepEffects:
    """Effects of one step, each kind in the order in which its effects were added; the fold turns them into records.

    Attributes
    ----------
    interactions
        Interactions with items, for the retrainer.
    signals
        Signals about changes of the user.
    decisions
        Decisions of the planner; one with the outcome ``sent`` carries its message.
    churn_examples, segment_examples
        Examples for the learners.
    notices
        Notices to delivery about earlier messages or about an address, with their channels.
    """

    interactions: list[Interaction] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    churn_examples: list[ChurnExample] = field(default_factory=list)
    segment_examples: list[SegmentExample] = field(default_factory=list)
    notices: list[tuple[Channel, Notice]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether the step had no effect, as most daily assessments have none."""
        found = self.interactions or self.signals or self.decisions or self.churn_examples or self.segment_examples
        return not (found or self.notices)

    def clear(self) -> None:
        """Remove all effects, for the next step."""
        self.interactions.clear()
        self.signals.clear()
        self.decisions.clear()
        self.churn_examples.clear()
        self.segment_examples.clear()
        self.notices.clear()


@dataclass(slots=True)
class Step:
    """The user that a step changes, and everything that the step needs to decide.

    One object serves every step of a slice, because a new one for each event would cost time.

    Attributes
    ----------
    versions
        Versions in use at this place of the log.
    effects
        Effects of the step; they are cleared before the next one.
    customer
        A working copy of the user's state, changed in place.
    user
        The user's id.
    now
        The partition's clock, milliseconds.
    """

    versions: Versions
    effects: StepEffects = field(default_factory=StepEffects)
    customer: Customer = field(default_factory=Customer)
    user: str = ""
    now: int = 0

    @property
    def recipient(self) -> Recipient:
        """The user, in the form that the planner needs."""
        return Recipient(self.user, self.customer, self.now)
