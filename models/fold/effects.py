"""What a step gives beside the changed state, still typed; the fold turns it into records."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.delivery.notices import Notice
from models.engage.planner import Decision
from models.events import Channel
from models.learning.examples import ChurnExample, SegmentExample
from models.profile.signals import Signal
from models.recommend.interactions import Interaction


@dataclass(slots=True)
class Effects:
    """Outputs of one step, in the order in which they came about.

    Attributes
    ----------
    interactions
        For the retrainer.
    signals
        What changed about the user.
    decisions
        What the planner decided; a sent one carries its message.
    churn_examples, segment_examples
        For the learners.
    notices
        For delivery, by channel: about messages that it has already.
    """

    interactions: list[Interaction] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    churn_examples: list[ChurnExample] = field(default_factory=list)
    segment_examples: list[SegmentExample] = field(default_factory=list)
    notices: list[tuple[Channel, Notice]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing came about: so it is with most daily looks."""
        said = self.interactions or self.signals or self.decisions or self.churn_examples or self.segment_examples
        return not (said or self.notices)

    def clear(self) -> None:
        """Forget everything, for the next step."""
        for some in (self.interactions, self.signals, self.decisions, self.churn_examples, self.segment_examples):
            some.clear()
        self.notices.clear()
