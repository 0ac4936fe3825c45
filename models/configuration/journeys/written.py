"""The written form of a journey, as YAML has it. The JSON Schema of the file is made from these structs.

A step is known by the key that says what it does: ``send``, ``wait``, ``wait_until``, ``wait_for``, ``branch``,
``experiment``, ``repeat``, ``set`` or ``call``. Steps within steps are read one by one by
:mod:`models.configuration.journeys.parsing`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from models import durations
from models.conditions.clauses import Scalar
from models.conditions.schema import Share, Wherever
from models.configuration.categories import Category
from models.events import Channel

MAX_STEPS = 200
"""Maximum number of steps of a journey, with those within other steps."""
MAX_DEPTH = 8
"""Maximum depth of steps within steps."""
MAX_ROUNDS = 1_000
"""Maximum number of rounds of a ``repeat``."""
MAX_KEPT = 20
"""Maximum number of properties of the entry that a run keeps."""

Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$", description="lower case letters, digits, underscores")]
ClockTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description='wall time, such as "09:00"')]
PropertyName = Annotated[str, Meta(min_length=1, max_length=100)]
Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WrittenCondition = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/$defs/Condition"})]
WrittenSteps = Annotated[list[dict[str, Any]], Meta(extra_json_schema={"items": {"$ref": "#/$defs/JourneyStep"}})]


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


# --- entry, exit, goal -----------------------------------------------------------------------------------------------


class WrittenEvery(_Written, frozen=True, kw_only=True):
    """A time of day at which members of a segment enter, in the zone of each user."""

    time: ClockTime
    days: list[Weekday] | None = None


class WrittenTrigger(_Written, frozen=True, kw_only=True):
    """What lets a user enter: exactly one of ``event``, ``segment``, ``stage``, ``signal`` and ``every``.

    Attributes
    ----------
    event, where
        An event of a name or type; and what its properties must be.
    segment
        The user enters the segment.
    stage
        The user moves into the stage of the lifecycle.
    signal, crosses
        ``first_purchase``; ``cart_left`` with ``after``; or ``churn_risk`` with the probability that it ``crosses``.
    every, of
        At a time of day, each member of the segment ``of``.
    """

    event: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    where: Wherever | None = None
    segment: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    stage: Name | None = None
    signal: Literal["churn_risk", "first_purchase", "cart_left"] | None = None
    crosses: Annotated[float, Meta(gt=0, lt=1)] | None = None
    after: Duration | None = None
    every: WrittenEvery | None = None
    of: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class WrittenAgain(_Written, frozen=True, kw_only=True):
    """A user may enter again after a time since the last entry with the same key."""

    after: Duration


class WrittenEntry(_Written, frozen=True, kw_only=True, rename={"condition": "if"}):
    """Who enters a journey.

    Attributes
    ----------
    on
        The trigger.
    if
        A condition that the user must meet at that moment.
    key
        Property of the event; a user has one run for each of its values. Without it, a user has one run.
    keep
        Properties of the event that the run keeps, for conditions (``same_as: entry.x``) and templates (``entry.x``).
    again
        ``never``, ``always``, ``once_left`` (after the last run has ended), or ``after`` a time.
    meanwhile
        While a run with this key is active, another trigger is ignored or restarts the run.
    existing
        Whether users who are members of the segment when the journey is applied enter it.
    """

    on: WrittenTrigger
    condition: WrittenCondition | None = None
    key: PropertyName | None = None
    keep: Annotated[list[PropertyName], Meta(max_length=MAX_KEPT)] = []
    again: Literal["never", "always", "once_left"] | WrittenAgain = "never"
    meanwhile: Literal["ignore", "restart"] = "ignore"
    existing: Literal["skip", "enter"] = "skip"


class WrittenEventTest(_Written, frozen=True, kw_only=True):
    """An event of a name or type, and what its properties must be."""

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    where: Wherever | None = None


class WrittenExit(_Written, frozen=True, kw_only=True, rename={"name": "as"}):
    """When a run ends at once: exactly one of ``on``, ``when`` and ``after``.

    Attributes
    ----------
    on
        An event.
    when
        A condition.
    after
        A time since the entry. Every journey has such an exit.
    as
        Name of the outcome.
    """

    on: WrittenEventTest | None = None
    when: WrittenCondition | None = None
    after: Duration | None = None
    name: Name


class WrittenGoal(_Written, frozen=True, kw_only=True):
    """What counts as success.

    Attributes
    ----------
    event, where
        The event of a conversion.
    within
        Maximum time from the entry, or from the first message, to the conversion.
    of
        The beginning of that time: ``entry`` or ``sent``.
    value
        Property that is the value of a conversion.
    count
        Whether a run converts once or at every such event.
    """

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    where: Wherever | None = None
    within: Duration
    of: Literal["entry", "sent"] = "entry"
    value: PropertyName | None = None
    count: Literal["once", "every"] = "once"


# --- steps -----------------------------------------------------------------------------------------------------------


class WrittenBestTime(_Written, frozen=True, kw_only=True):
    """The message may be delayed up to a time, to the hour that suits the user."""

    within: Duration


class WrittenIfDropped(_Written, frozen=True, kw_only=True, rename={"otherwise": "else"}):
    """What follows if the planner drops the message.

    Attributes
    ----------
    capped
        If a cap is reached: ``continue``, ``exit``, or ``retry`` and a time, such as ``retry 2d``.
    else
        For every other reason: ``continue`` or ``exit``.
    """

    capped: Annotated[str, Meta(pattern="^(continue|exit|retry [1-9][0-9]{0,5}(s|m|h|d|w))$")] = "continue"
    otherwise: Literal["continue", "exit"] = "continue"


class WrittenSend(_Written, frozen=True, kw_only=True):
    """Propose a message to the planner.

    Attributes
    ----------
    id
        Id of the step.
    send
        Name of the template.
    channels
        Channels in order of preference.
    expires_after
        A message that could not be sent within this time is dropped.
    best_time
        Delay to a good hour.
    if_dropped
        What follows if it is dropped.
    """

    id: Name
    send: Name
    channels: Annotated[list[Channel], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["email"])
    expires_after: Duration = "24h"
    best_time: WrittenBestTime | None = None
    if_dropped: WrittenIfDropped = WrittenIfDropped()


class WrittenWait(_Written, frozen=True, kw_only=True):
    """Wait for a time."""

    id: Name
    wait: Duration


class WrittenMoment(_Written, frozen=True, kw_only=True):
    """The first matching local time at or after now.

    Attributes
    ----------
    time
        Time of day.
    days
        Weekdays; without them, every day.
    zone
        ``user`` for the zone of the user, or a name such as ``Europe/Berlin``.
    """

    time: ClockTime
    days: Annotated[list[Weekday], Meta(min_length=1)] | None = None
    zone: str = "user"


class WrittenWaitUntil(_Written, frozen=True, kw_only=True):
    """Wait until a local time."""

    id: Name
    wait_until: WrittenMoment


class WrittenAwaited(_Written, frozen=True, kw_only=True):
    """An event to wait for, and for how long.

    Attributes
    ----------
    event, where
        The event.
    since
        ``entry`` also sees events between the entry and the wait; ``here`` does not.
    at_most
        Longest wait.
    """

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    where: Wherever | None = None
    since: Literal["entry", "here"] = "entry"
    at_most: Duration


class WrittenWaitFor(_Written, frozen=True, kw_only=True):
    """Wait for an event: ``then`` follows it, ``otherwise`` follows the end of the time."""

    id: Name
    wait_for: WrittenAwaited
    then: WrittenSteps = []
    otherwise: WrittenSteps = []


class WrittenCase(_Written, frozen=True, kw_only=True, rename={"condition": "if", "otherwise": "else"}):
    """A case of a branch: ``if`` with ``do``, or, at the end, ``else``."""

    condition: WrittenCondition | None = None
    do: WrittenSteps | None = None
    otherwise: WrittenSteps | None = None


class WrittenBranch(_Written, frozen=True, kw_only=True):
    """Go the way of the first case whose condition holds."""

    id: Name
    branch: Annotated[list[WrittenCase], Meta(min_length=1)]


class WrittenArm(_Written, frozen=True, kw_only=True):
    """An arm of an experiment: its weight among all arms, and its steps."""

    weight: Annotated[int, Meta(ge=0, le=1_000)]
    do: WrittenSteps = []


class WrittenExperiment(_Written, frozen=True, kw_only=True):
    """Split users at random, always in the same way: ``experiment`` is the name by which they are split."""

    id: Name
    experiment: Name
    arms: dict[Name, WrittenArm]


class WrittenRounds(_Written, frozen=True, kw_only=True):
    """How often steps are repeated.

    Attributes
    ----------
    every
        Time from the beginning of one round to that of the next.
    times
        Maximum number of rounds.
    until
        No round begins while this condition holds, and the repetition ends.
    """

    every: Duration
    times: Annotated[int, Meta(ge=1, le=MAX_ROUNDS)]
    until: WrittenCondition | None = None


class WrittenRepeat(_Written, frozen=True, kw_only=True):
    """Repeat steps: the first round begins at once."""

    id: Name
    repeat: WrittenRounds
    do: WrittenSteps


class WrittenSet(_Written, frozen=True, kw_only=True):
    """Set marks of the user, which conditions and templates read."""

    set: Annotated[dict[Name, Scalar], Meta(min_length=1)]


class WrittenCall(_Written, frozen=True, kw_only=True):
    """Call a webhook, and wait for its answer.

    Attributes
    ----------
    id
        Id of the step.
    call
        Name of the webhook in the settings.
    body
        Texts of the body, by name; they may name ``entry`` and ``profile``.
    save
        Name of the mark that gets the answer.
    at_most
        Longest wait.
    on_failure
        What follows a failure.
    """

    id: Name
    call: Name
    body: dict[str, str] = {}
    save: Name | None = None
    at_most: Duration = "10s"
    on_failure: Literal["continue", "exit"] = "continue"


STEP_FORMS: dict[str, type[_Written]] = {
    "send": WrittenSend,
    "wait": WrittenWait,
    "wait_until": WrittenWaitUntil,
    "wait_for": WrittenWaitFor,
    "branch": WrittenBranch,
    "experiment": WrittenExperiment,
    "repeat": WrittenRepeat,
    "set": WrittenSet,
    "call": WrittenCall,
}
"""The form of each step, by the key that says what it does."""


class JourneyForm(_Written, frozen=True, kw_only=True):
    """A journey.

    Attributes
    ----------
    name
        Name; every journey and every rule has a different one.
    purpose
        The purpose to which the user must have consented.
    category
        ``marketing`` needs consent and respects caps and quiet hours; ``transactional`` does not.
    enter
        Who enters, and when.
    exit
        When a run ends at once.
    goal
        What counts as success.
    holdout
        Share of users who walk the same path, but get nothing.
    steps
        The steps.
    """

    name: Name
    purpose: Name = "marketing"
    category: Category = "marketing"
    enter: WrittenEntry
    exit: Annotated[list[WrittenExit], Meta(min_length=1)]
    goal: WrittenGoal | None = None
    holdout: Share | None = None
    steps: WrittenSteps
