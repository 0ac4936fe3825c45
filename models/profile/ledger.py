"""The ledger of a user: timers, scores, open examples, and the messages that were sent, withheld or deferred."""

from __future__ import annotations

import msgspec

from models.conditions.clauses import Scalar
from models.conditions.user_state import Memberships
from models.profile.campaign_marks import CampaignMark
from models.profile.conversions import CountedConversion
from models.profile.lazy_fields import Lazily, defer
from models.profile.open_examples import OpenExamples
from models.profile.runs import UserRuns

NEVER = 2**63 - 1
"""The due time of a user without timers."""


class Timer(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """A timer of a user, which fires when the partition's clock reaches ``due``.

    Attributes
    ----------
    due
        Milliseconds since the epoch.
    name
        The name, unique within a user. The part before ``:`` says what to do, the part after it is the argument.
    """

    due: int
    name: str


class SentMessage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that was handed over for delivery.

    Attributes
    ----------
    id, rule, channel, category, at, subject, why
        As in the decision to send it.
    outcome
        Its outcome (``engage.outcomes``): ``sent``, ``failed``, ``unknown``, ``delivered`` ...; empty before any.
    because
        For a suppressed message: the reason on the suppression list.
    detail
        More about the message: why its fallback was sent, or why it failed.
    """

    id: str
    rule: str
    channel: str
    category: str
    at: int
    subject: str = ""
    why: str = ""
    outcome: str = ""
    because: str = ""
    detail: str = ""


class Withheld(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that was not sent, and the reason.

    Attributes
    ----------
    rule, channel, reason, at
        As in the decision to drop it.
    detail
        More about the reason, such as file and line of a template.
    """

    rule: str
    channel: str
    reason: str
    at: int
    detail: str = ""


class Pending(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that waits: for quiet hours to end, or for a template that can be rendered.

    Attributes
    ----------
    rule
        The rule that proposes it.
    signal
        The signal that triggered it, as JSON.
    until, expires
        The time of the next attempt, and the time from which it is too old; milliseconds.
    reason
        The reason to wait: ``quiet_hours`` or ``template_error``.
    configuration
        Version of the configuration that failed to render it; 0 if none failed.
    detail
        The error of the template, with file and line.
    """

    rule: str
    signal: bytes
    until: int
    expires: int
    reason: str = "quiet_hours"
    configuration: int = 0
    detail: str = ""


class Stage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The stage of a user in the lifecycle.

    Attributes
    ----------
    name
        Name of the stage.
    since
        Time at which the user entered it, milliseconds.
    """

    name: str
    since: int


class IssuedRfm(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The scores of a buyer that were issued last, each 1 to 5; 5 is the best.

    Attributes
    ----------
    recency, frequency, monetary
        The scores. ``monetary`` is 0 if the currencies of the buyer have no cut points.
    version
        Version of the cut points.
    """

    recency: int
    frequency: int
    monetary: int
    version: int


class Ledger(msgspec.Struct, array_like=True, eq=False, gc=False):
    """The record of our decisions about a user, and of the messages sent to them.

    Attributes
    ----------
    timers
        Timers in the order (due, name).
    segment, segment_version
        The user's segment (``None`` before any version) and the version that assigned it last.
    risk, risk_version, risk_at
        The newest churn probability, the version that computed it, and the time, milliseconds.
    assessed_at
        Time of the last assessment of the user by the models, milliseconds; 0 before any.
    examples
        Open churn examples, oldest first.
    sent
        The messages sent last, oldest first; see ``caps.trimmed`` for how many are kept.
    withheld
        The messages withheld last, oldest first, at most 20.
    pending
        Messages that wait.
    fired
        Time at which each rule last sent a message, milliseconds, by rule name.
    memberships
        The segments by rule in which the user is; ``None`` for none.
    segment_since
        Time at which the user entered ``segment``, milliseconds, if a condition reads it; otherwise 0.
    stage
        The stage of the lifecycle; ``None`` for the first one.
    rfm
        The scores of a buyer; ``None`` before any, and for users without purchases.
    features
        The features that conditions read, as of ``assessed_at``, by name; ``None`` if conditions read none.
    runs
        The journeys of the user; ``None`` if the user has never entered one.
    marks
        The marks that journeys have set, by name.
    campaigns
        What is known of the user in campaigns that were started, oldest first.
    conversions
        The newest conversions, the oldest first (:mod:`models.profile.conversions`).
    """

    timers: list[Timer] = []
    segment: str | None = None
    segment_version: int = 0
    risk: float | None = None
    risk_version: int = 0
    risk_at: int = 0
    assessed_at: int = 0
    examples: OpenExamples = msgspec.field(default_factory=OpenExamples)
    sent: Lazily[list[SentMessage]] = []
    withheld: Lazily[list[Withheld]] = []
    pending: list[Pending] = []
    fired: Lazily[dict[str, int]] = {}
    memberships: Lazily[Memberships | None] = None
    segment_since: int = 0
    stage: Stage | None = None
    rfm: IssuedRfm | None = None
    features: Lazily[dict[str, float] | None] = None
    runs: Lazily[UserRuns | None] = None
    marks: Lazily[dict[str, Scalar]] = {}
    campaigns: Lazily[list[CampaignMark]] = []
    conversions: Lazily[tuple[CountedConversion, ...]] = ()


defer(Ledger)
