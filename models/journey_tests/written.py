"""The written form of a journey test, as YAML has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from models import durations
from models.conditions.clauses import Scalar
from models.configuration.journeys.written import Duration, Name, Written
from models.events import Channel

Invariant: TypeAlias = Literal[
    "never_without_consent", "never_above_caps", "never_in_quiet_hours", "never_twice", "every_drop_has_a_reason"
]
INVARIANTS: tuple[Invariant, ...] = (
    "never_without_consent",
    "never_above_caps",
    "never_in_quiet_hours",
    "never_twice",
    "every_drop_has_a_reason",
)
"""Names of all invariants, which hold at every step of a test; ``always`` may name fewer."""

OFFSET = r"^[-+]([0-9]{1,6}(ms|s|m|h|d|w))+$"
"""Form of a time as a distance from the start, such as ``+1d`` or ``+1d12h``."""

Moment = Annotated[str, Meta(min_length=1, description="a distance from the start (+1d12h), or a time of ISO 8601")]
UserId = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1)]


class WrittenPerson(Written, frozen=True, kw_only=True):
    """A user as the test begins.

    Attributes
    ----------
    user
        Id of the user.
    traits
        Traits of the user.
    consent
        ``granted`` or ``withdrawn``, by ``purpose.channel`` or by the channel alone.
    known_for
        Time for which the user has been known at the start.
    """

    user: UserId
    traits: dict[str, Any] = msgspec.field(default_factory=dict)
    consent: dict[str, Literal["granted", "withdrawn"]] = msgspec.field(default_factory=dict)
    known_for: Duration = "1s"


class WrittenAnswer(Written, frozen=True, kw_only=True):
    """An answer of a provider that is not ``ok``.

    Attributes
    ----------
    answer
        Code of the answer.
    retry_after
        Time after which the provider may be called again.
    """

    answer: Annotated[int, Meta(ge=400, le=599)]
    retry_after: Duration | None = None


ProviderAnswer: TypeAlias = Literal["ok", "refused", "unknown"] | WrittenAnswer


class WrittenWorld(Written, frozen=True, kw_only=True):
    """Everything that is not an event.

    Attributes
    ----------
    email, sms, push
        Answers of the providers in their order; after the last one, each answer is ``ok``.
    scores
        Scores that the models give every user; ``churn`` is the risk.
    arms
        The arm of every user, by the name of the experiment. Otherwise the hash of the user decides.
    holdout
        Whether all users are in the control group. By default, no user is.
    best_time
        Not available in this release.
    """

    email: list[ProviderAnswer] = msgspec.field(default_factory=list)
    sms: list[ProviderAnswer] = msgspec.field(default_factory=list)
    push: list[ProviderAnswer] = msgspec.field(default_factory=list)
    scores: dict[Literal["churn"], Annotated[float, Meta(gt=0, lt=1)]] = msgspec.field(default_factory=dict)
    arms: dict[Name, str] = msgspec.field(default_factory=dict)
    holdout: bool = False
    best_time: Any = None


class WrittenRun(Written, frozen=True, kw_only=True, rename={"at_step": "in"}):
    """A run that must be under way.

    Attributes
    ----------
    of
        Its journey; the one of the test by default.
    in
        Id of the step at which it stands.
    until
        End of its wait.
    """

    of: Name | None = None
    at_step: Name
    until: Moment | None = None


class WrittenDrop(Written, frozen=True, kw_only=True):
    """A message that must have been dropped."""

    message: Text
    reason: Text


class WrittenExpect(Written, frozen=True, kw_only=True, rename={"holds": "is"}):
    """Everything that must have happened by now.

    Attributes
    ----------
    message, to, channel, by, at, subject, text
        A message that a provider has accepted: its template or ``journey/step``, its user, and so on. ``text`` is a
        part of its text. Each message is expected once.
    messages, nothing_else
        The messages in this order; and whether there was no other message.
    ended
        The outcome of the newest run that has ended.
    run
        A run under way, or ``none``.
    entered, converted
        Number of entries into the journey, and of conversions.
    refused
        Reason of the newest refused entry.
    dropped
        A message that was dropped.
    segment, is, because
        A segment by rule; whether the user is in it (``unknown`` if that is not known); and a clause that fails.
    stage
        The user's stage of the lifecycle.
    mark
        Values of marks.
    user
        The user; by default the one of ``to``, or the user of the newest event.
    of
        The journey; by default the one of the test.
    """

    message: Text | None = None
    to: UserId | None = None
    channel: Channel | None = None
    by: Moment | None = None
    at: Moment | None = None
    subject: str | None = None
    text: Text | None = None
    messages: list[str] | None = None
    nothing_else: bool = False
    ended: Text | None = None
    run: WrittenRun | Literal["none"] | None = None
    entered: int | None = None
    converted: int | None = None
    refused: Text | None = None
    dropped: WrittenDrop | None = None
    segment: Text | None = None
    holds: bool | Literal["unknown"] | None = None
    because: Text | None = None
    stage: Text | None = None
    mark: dict[str, Scalar] | None = None
    user: UserId | None = None
    of: Name | None = None


class WrittenTestStep(Written, frozen=True, kw_only=True, rename={"wait": "pass"}):
    """A step of a test: an ``event``, some time that passes, or what is expected.

    Attributes
    ----------
    at
        Time of the event; alone, the clock moves to this time.
    event
        An event, as your systems send it.
    pass
        The clock moves on by this time.
    expect
        What must have happened.
    only
        Variants of the matrix for which the step counts.
    """

    at: Moment | None = None
    event: dict[str, Any] | None = None
    wait: Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)] | None = None
    expect: WrittenExpect | None = None
    only: dict[str, Scalar] = msgspec.field(default_factory=dict)


class WrittenTest(Written, frozen=True, kw_only=True):
    """A test file.

    Attributes
    ----------
    of
        The journey.
    start
        Time at which the test begins.
    given
        Users who are known before.
    world
        Everything that is not an event.
    steps
        The steps, in the order of time.
    matrix
        Values with each of which the test runs: ``timezone``, ``holdout``, ``arms.EXPERIMENT``, ``scores.churn``.
    always
        What must hold at every step; everything by default.
    """

    of: Name
    start: Text
    given: list[WrittenPerson] = msgspec.field(default_factory=list)
    world: WrittenWorld = msgspec.field(default_factory=WrittenWorld)
    steps: Annotated[list[WrittenTestStep], Meta(min_length=1)]
    matrix: dict[str, Annotated[list[Scalar], Meta(min_length=1)]] = msgspec.field(default_factory=dict)
    always: list[Invariant] = msgspec.field(default_factory=lambda: list(INVARIANTS))
