"""The written form of a journey, as YAML has it. The JSON Schema of the file is made from these structs.

:mod:`models.configuration.journeys.written_steps` has the steps.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from models import durations
from models.conditions.schema import Share, Wherever
from models.configuration.categories import Category

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


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a journey in a file; an unknown field is an error."""


# --- entry, exit, goal -----------------------------------------------------------------------------------------------


class WrittenEvery(Written, frozen=True, kw_only=True):
    """A time of day at which members of a segment enter, in the zone of each user."""

    time: ClockTime
    days: list[Weekday] | None = None


class WrittenTrigger(Written, frozen=True, kw_only=True):
    """The trigger of an entry: exactly one of ``event``, ``segment``, ``stage``, ``signal`` and ``every``.

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


class WrittenAgain(Written, frozen=True, kw_only=True):
    """A user may enter again after a time since the last entry with the same key."""

    after: Duration


class WrittenEntry(Written, frozen=True, kw_only=True, rename={"condition": "if"}):
    """The entry into a journey.

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


class WrittenEventTest(Written, frozen=True, kw_only=True):
    """An event of a name or type, and what its properties must be."""

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    where: Wherever | None = None


class WrittenExit(Written, frozen=True, kw_only=True, rename={"name": "as"}):
    """A reason for which a run ends at once: exactly one of ``on``, ``when`` and ``after``.

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


class WrittenGoal(Written, frozen=True, kw_only=True):
    """The goal of a journey.

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


class JourneyForm(Written, frozen=True, kw_only=True):
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
    moved_to
        Where runs of an older version go on that are moved here: the step, by the step at which they wait.
    """

    name: Name
    purpose: Name = "marketing"
    category: Category = "marketing"
    enter: WrittenEntry
    exit: Annotated[list[WrittenExit], Meta(min_length=1)]
    goal: WrittenGoal | None = None
    holdout: Share | None = None
    steps: WrittenSteps
    moved_to: dict[Name, Name] = msgspec.field(default_factory=dict)
