"""The compiled form of journeys, which travels in the log.

A journey is a list of steps. Some steps contain lists of steps; there is no jump to another step. So every run ends.
Durations are milliseconds, times of day are minutes after midnight, and a share is an integer of 2^-64.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from models.conditions.clauses import Condition, Scalar, Where
from models.configuration.categories import Category
from models.events import Channel

Again: TypeAlias = Literal["never", "always", "once_left", "after"]
SignalName: TypeAlias = Literal["churn_risk", "first_purchase", "cart_left"]


class EventMatch(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of a name or type, and what its properties must be.

    In an exit, a goal or a ``wait_for``, ``where`` may compare a property with one that the run has kept.
    """

    event: str
    where: Where = ()


class LocalTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """A time of day on some days of the week.

    Attributes
    ----------
    minute
        Minutes after midnight.
    days
        Days of the week, Monday is 0; empty for every day.
    zone
        Name of a time zone; empty for the zone of the user.
    """

    minute: int
    days: tuple[int, ...] = ()
    zone: str = ""


# --- entry, exit, goal -----------------------------------------------------------------------------------------------


class _Trigger(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="on"):
    pass


class EventTrigger(_Trigger, frozen=True, tag="event"):
    """An event lets its user enter."""

    match: EventMatch


class SegmentTrigger(_Trigger, frozen=True, tag="segment"):
    """The user enters a segment."""

    segment: str


class StageTrigger(_Trigger, frozen=True, tag="stage"):
    """The user moves into a stage of the lifecycle."""

    stage: str


class SignalTrigger(_Trigger, frozen=True, tag="signal"):
    """A signal of the engine.

    Attributes
    ----------
    signal
        Which one.
    crosses
        For ``churn_risk``: the probability that is reached or exceeded.
    after
        For ``cart_left``: time since the last change of the cart, milliseconds.
    """

    signal: SignalName
    crosses: float = 0.0
    after: int = 0


class ScheduleTrigger(_Trigger, frozen=True, tag="schedule"):
    """At a local time, each member of a segment."""

    at: LocalTime
    segment: str


Trigger: TypeAlias = EventTrigger | SegmentTrigger | StageTrigger | SignalTrigger | ScheduleTrigger


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """The entry into a journey.

    Attributes
    ----------
    on
        The trigger.
    condition
        What the user must meet; ``None`` for nothing.
    key
        Property of the event whose value keeps runs apart; empty for one run per user.
    keep
        Properties of the event that the run keeps.
    again, again_after
        Whether a user may enter again. For ``after``: milliseconds since the last entry with the same key.
    restarts
        Whether another trigger restarts an active run with the same key; otherwise it is ignored.
    takes_existing
        Whether members of the segment enter when the journey is applied.
    """

    on: Trigger
    condition: Condition | None = None
    key: str = ""
    keep: tuple[str, ...] = ()
    again: Again = "never"
    again_after: int = 0
    restarts: bool = False
    takes_existing: bool = False

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the properties that a run keeps: those of ``keep``, and that of the key."""
        return tuple(dict.fromkeys((*self.keep, *((self.key,) if self.key else ()))))


class Exit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reason for which a run ends at once: exactly one of ``on``, ``when`` and ``after`` is given.

    Attributes
    ----------
    name
        Name of the outcome.
    on
        An event.
    when
        A condition.
    after
        Milliseconds since the entry.
    """

    name: str
    on: EventMatch | None = None
    when: Condition | None = None
    after: int = 0


class Goal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The goal of a journey.

    Attributes
    ----------
    on
        The event of a conversion.
    within
        Milliseconds from the entry, or from the first message, to the conversion.
    is_of_sent
        Whether that time begins with the first message.
    value
        Property that is the value of a conversion; empty for none.
    is_repeated
        Whether a run may convert several times.
    """

    on: EventMatch
    within: int
    is_of_sent: bool = False
    value: str = ""
    is_repeated: bool = False


# --- steps -----------------------------------------------------------------------------------------------------------


class _Step(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="do"):
    pass


class SendStep(_Step, frozen=True, tag="send"):
    """Propose a message to the planner.

    Attributes
    ----------
    id
        Id of the step.
    template
        Name of the template.
    channels
        Channels in order of preference.
    expires_after
        Milliseconds after which a message that could not be sent is dropped.
    best_within
        Milliseconds by which a message may be delayed to a good hour; 0 for none.
    retry_capped
        Milliseconds after which the step is tried again if a cap was reached; 0 for never.
    exits_capped, exits_dropped
        Whether the run ends if a cap was reached, or if the message was dropped for another reason.
    """

    id: str
    template: str
    channels: tuple[Channel, ...] = ("email",)
    expires_after: int = 86_400_000
    best_within: int = 0
    retry_capped: int = 0
    exits_capped: bool = False
    exits_dropped: bool = False


class WaitStep(_Step, frozen=True, tag="wait"):
    """Wait for a time, milliseconds."""

    id: str
    duration: int


class WaitUntilStep(_Step, frozen=True, tag="wait_until"):
    """Wait until a local time."""

    id: str
    at: LocalTime


class WaitForStep(_Step, frozen=True, tag="wait_for"):
    """Wait for an event.

    Attributes
    ----------
    id
        Id of the step.
    on
        The event.
    at_most
        Longest wait, milliseconds.
    is_since_entry
        Whether events between the entry and the wait count.
    then, otherwise
        Steps after the event, or after the end of the time.
    """

    id: str
    on: EventMatch
    at_most: int
    is_since_entry: bool = True
    then: tuple[JourneyStep, ...] = ()
    otherwise: tuple[JourneyStep, ...] = ()


class BranchCase(msgspec.Struct, frozen=True, omit_defaults=True):
    """A case of a branch: its condition (``None`` for ``else``), and its steps."""

    steps: tuple[JourneyStep, ...]
    condition: Condition | None = None


class BranchStep(_Step, frozen=True, tag="branch"):
    """Go the way of the first case whose condition holds; none may hold."""

    id: str
    cases: tuple[BranchCase, ...]


class Arm(msgspec.Struct, frozen=True, omit_defaults=True):
    """An arm of an experiment: its name, its weight among all arms, and its steps."""

    name: str
    weight: int
    steps: tuple[JourneyStep, ...] = ()


class ExperimentStep(_Step, frozen=True, tag="experiment"):
    """Split users at random, always in the same way, by a hash of the name ``experiment`` and the user."""

    id: str
    experiment: str
    arms: tuple[Arm, ...]


class RepeatStep(_Step, frozen=True, tag="repeat"):
    """Repeat steps.

    Attributes
    ----------
    id
        Id of the step.
    every
        Milliseconds from the beginning of one round to that of the next.
    times
        Maximum number of rounds.
    until
        No round begins while this condition holds, and the repetition ends; ``None`` for no such condition.
    steps
        The steps of a round.
    """

    id: str
    every: int
    times: int
    steps: tuple[JourneyStep, ...]
    until: Condition | None = None


class SetStep(_Step, frozen=True, tag="set"):
    """Set marks of the user."""

    marks: tuple[tuple[str, Scalar], ...]


class CallStep(_Step, frozen=True, tag="call"):
    """Call a webhook, and wait for its answer.

    Attributes
    ----------
    id
        Id of the step.
    webhook
        Name of the webhook.
    body
        Templates of the body, by name.
    save
        Name of the mark that gets the answer; empty for none.
    at_most
        Longest wait, milliseconds.
    exits_failed
        Whether the run ends after a failure.
    """

    id: str
    webhook: str
    body: tuple[tuple[str, str], ...] = ()
    save: str = ""
    at_most: int = 10_000
    exits_failed: bool = False


JourneyStep: TypeAlias = (
    SendStep | WaitStep | WaitUntilStep | WaitForStep | BranchStep | ExperimentStep | RepeatStep | SetStep | CallStep
)


class Journey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A journey.

    Attributes
    ----------
    name
        Its name.
    enter
        Who enters.
    exits
        When a run ends at once. At least one of them limits the duration.
    steps
        The steps.
    purpose, category
        What the messages are for.
    goal
        What counts as success; ``None`` for nothing.
    holdout
        Share of users who get nothing, in 2^-64.
    moved_to
        For runs that move here from another version: the step at which they go on, by the step at which they wait. It
        is not a part of the version.
    """

    name: str
    enter: Entry
    exits: tuple[Exit, ...]
    steps: tuple[JourneyStep, ...]
    purpose: str = "marketing"
    category: Category = "marketing"
    goal: Goal | None = None
    holdout: int = 0
    moved_to: tuple[tuple[str, str], ...] = ()

    @property
    def longest(self) -> int:
        """The longest duration of a run, milliseconds."""
        return min(one.after for one in self.exits if one.after)
