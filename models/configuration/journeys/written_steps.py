"""The written form of each step of a journey.

A step is known by the key that says what it does: ``send``, ``wait``, ``wait_until``, ``wait_for``, ``branch``,
``experiment``, ``repeat``, ``set`` or ``call``. Steps within steps are read one by one by
:mod:`models.configuration.journeys.steps`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.conditions.clauses import Scalar
from models.conditions.schema import Wherever
from models.configuration.journeys.written import (
    MAX_ROUNDS,
    ClockTime,
    Duration,
    Name,
    Weekday,
    Written,
    WrittenCondition,
    WrittenSteps,
)
from models.events import Channel


class WrittenBestTime(Written, frozen=True, kw_only=True):
    """The message may be delayed up to a time, to the hour that suits the user."""

    within: Duration


class WrittenIfDropped(Written, frozen=True, kw_only=True, rename={"otherwise": "else"}):
    """The continuation if the planner drops the message.

    Attributes
    ----------
    capped
        If a cap is reached: ``continue``, ``exit``, or ``retry`` and a time, such as ``retry 2d``.
    else
        For every other reason: ``continue`` or ``exit``.
    """

    capped: Annotated[str, Meta(pattern="^(continue|exit|retry [1-9][0-9]{0,5}(s|m|h|d|w))$")] = "continue"
    otherwise: Literal["continue", "exit"] = "continue"


class WrittenSend(Written, frozen=True, kw_only=True):
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


class WrittenWait(Written, frozen=True, kw_only=True):
    """Wait for a time."""

    id: Name
    wait: Duration


class WrittenMoment(Written, frozen=True, kw_only=True):
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


class WrittenWaitUntil(Written, frozen=True, kw_only=True):
    """Wait until a local time."""

    id: Name
    wait_until: WrittenMoment


class WrittenAwaited(Written, frozen=True, kw_only=True):
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


class WrittenWaitFor(Written, frozen=True, kw_only=True):
    """Wait for an event: ``then`` follows it, ``otherwise`` follows the end of the time."""

    id: Name
    wait_for: WrittenAwaited
    then: WrittenSteps = msgspec.field(default_factory=list)
    otherwise: WrittenSteps = msgspec.field(default_factory=list)


class WrittenCase(Written, frozen=True, kw_only=True, rename={"condition": "if", "otherwise": "else"}):
    """A case of a branch: ``if`` with ``do``, or, at the end, ``else``."""

    condition: WrittenCondition | None = None
    do: WrittenSteps | None = None
    otherwise: WrittenSteps | None = None


class WrittenBranch(Written, frozen=True, kw_only=True):
    """Go the way of the first case whose condition holds."""

    id: Name
    branch: Annotated[list[WrittenCase], Meta(min_length=1)]


class WrittenArm(Written, frozen=True, kw_only=True):
    """An arm of an experiment: its weight among all arms, and its steps."""

    weight: Annotated[int, Meta(ge=0, le=1_000)]
    do: WrittenSteps = msgspec.field(default_factory=list)


class WrittenExperiment(Written, frozen=True, kw_only=True):
    """Split users at random, always in the same way: ``experiment`` is the name by which they are split."""

    id: Name
    experiment: Name
    arms: dict[Name, WrittenArm]


class WrittenRounds(Written, frozen=True, kw_only=True):
    """The rounds of a repetition.

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


class WrittenRepeat(Written, frozen=True, kw_only=True):
    """Repeat steps: the first round begins at once."""

    id: Name
    repeat: WrittenRounds
    do: WrittenSteps


class WrittenSet(Written, frozen=True, kw_only=True):
    """Set marks of the user, which conditions and templates read."""

    set: Annotated[dict[Name, Scalar], Meta(min_length=1)]


class WrittenCall(Written, frozen=True, kw_only=True):
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
    body: dict[str, str] = msgspec.field(default_factory=dict)
    save: Name | None = None
    at_most: Duration = "10s"
    on_failure: Literal["continue", "exit"] = "continue"


STEP_FORMS: dict[str, type[Written]] = {
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
