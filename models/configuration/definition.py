"""The written configuration: the sections of ``perennial.yaml`` that travel in the log.

These structs give the form of the file, and its JSON Schema is made from them. :mod:`models.configuration.parsing`
turns them into the compiled configuration, which the fold reads.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from models import durations
from models.conditions.schema import MAX_NAME, OnApply, Wherever
from models.configuration.campaigns.written import CampaignForm
from models.configuration.categories import Category
from models.configuration.journeys.written import JourneyForm
from models.events import Channel, EventType
from models.lifecycle.defaults import DefaultName

Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]
Days = Annotated[str, Meta(pattern="^[1-9][0-9]{0,3}(d|w)$", description="whole days: 14d or 2w")]
ClockTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description='wall time, such as "21:00"')]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$", description="lower case letters, digits, underscores")]
WrittenCondition = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/$defs/Condition"})]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Crossing(_Section, frozen=True, kw_only=True):
    """A trigger for a churn probability that rises to ``crosses`` or above."""

    crosses: Annotated[float, Meta(gt=0, lt=1)]


class CartLeft(_Section, frozen=True, kw_only=True, rename={"after": "for"}):
    """A trigger for a filled cart that has not changed for the duration ``for``."""

    after: Duration


class When(_Section, frozen=True, kw_only=True):
    """The trigger of a rule: exactly one field is given; ``where`` is an addition to ``event``.

    Attributes
    ----------
    churn_risk
        The user's churn probability rose to a threshold.
    entered_segment
        The user moved into the segment of that name.
    entered_stage
        The user moved into the stage of the lifecycle of that name.
    first_purchase
        The user placed the first order.
    cart_left
        The user left a filled cart unchanged.
    event
        An event of that name (``Trial Started``) or type (``refund``) arrived.
    where
        With ``event``: what the properties must be, by the property's name. A value or a list of allowed values is
        compared with what the sender states. Operators, such as ``{at_least: 3}``, also see the event's own fields.
    """

    churn_risk: Crossing | None = None
    entered_segment: Annotated[str, Meta(min_length=1)] | None = None
    entered_stage: Name | None = None
    first_purchase: Literal[True] | None = None
    cart_left: CartLeft | None = None
    event: Annotated[str, Meta(min_length=1)] | None = None
    where: Wherever | None = None


class RuleDefinition(_Section, frozen=True, kw_only=True):
    """One rule: a trigger and the message that it sends.

    Attributes
    ----------
    name
        Name of the rule; every rule has a different one.
    category
        ``marketing`` needs consent and respects caps and quiet hours; ``transactional`` needs no consent, and ignores
        caps and quiet hours.
    purpose
        For ``marketing``: the purpose to which the user must have consented, ``marketing`` or one of
        ``consent.purposes``.
    when
        The trigger.
    channels
        Channels in order of preference. The first one that is allowed for the user is used.
    template
        Name of the template's folder next to the configuration; by default, the name of the rule.
    expires_after
        A trigger that is older than this is dropped.
    cooldown
        A user gets at most one message of this rule within this time.
    """

    name: Name
    category: Category = "marketing"
    purpose: Name = "marketing"
    when: When
    channels: Annotated[list[Channel], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["email"])
    template: Name | None = None
    expires_after: Duration = "24h"
    cooldown: Duration | None = None


class CapDefinition(_Section, frozen=True, kw_only=True):
    """A limit on messages to one user within a rolling window, on one channel or on all together.

    Attributes
    ----------
    messages, within
        The maximum number of messages, and the length of the window.
    channel
        Only messages on this channel; without it, those on all channels together.
    category
        ``marketing`` by default. A cap on ``transactional`` messages also stops receipts.
    journey
        Only messages of this journey, whatever its category.
    """

    messages: Annotated[int, Meta(ge=0)]
    within: Duration
    channel: Channel | None = None
    category: Category | None = None
    journey: str | None = None


class QuietHoursDefinition(_Section, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """Time of day without marketing messages, in the user's time zone; ``to`` may be on the next day."""

    start: ClockTime
    end: ClockTime


class ChurnDefinition(_Section, frozen=True, kw_only=True):
    """Definition of churn.

    Attributes
    ----------
    activity
        Event types that count as activity.
    horizon
        A user without activity for this long has churned.
    active_within
        Examples are taken only of users who were active within this time before the example.
    example_every
        Time between two examples of one user.
    """

    activity: Annotated[list[EventType], Meta(min_length=1)] | None = None
    horizon: Days = "14d"
    active_within: Days = "30d"
    example_every: Days = "7d"


class EventsDefinition(_Section, frozen=True, kw_only=True):
    """Limits for late and repeated events, and the time for which orders are remembered.

    Attributes
    ----------
    horizon
        Events older than this are refused as ``too_late``. Repeats within this time are recognized by their
        ``messageId``. It is at most 30 days, because the ids are kept in memory.
    order_within
        Events that arrive within this time after they happened are counted in the sequence of their times. It is at
        most the horizon.
    remember_orders
        Time for which an order is remembered by its id after it was placed or updated, if it is one of the user's 64
        newest. It is at least the horizon, and at most 366 days.
    """

    horizon: Duration = "48h"
    order_within: Duration = "1h"
    remember_orders: Duration = "90d"


class TraitDefinition(_Section, frozen=True, kw_only=True):
    """A trait that withdraws consent for one channel.

    Attributes
    ----------
    value
        Value that withdraws consent: ``true``, ``false``, or a word.
    channel
        Channel whose consent is withdrawn.
    """

    value: bool | str
    channel: Literal["email", "sms", "push", "all"] = "all"


class ExistingCustomerDefinition(_Section, frozen=True, kw_only=True):
    """Customers who may get e-mails without a consent, because a server has stated ``basis: existing_customer``.

    Attributes
    ----------
    countries
        Codes of their countries, such as ``DE``. The traits of a user name the country.
    bought_within
        Time for which a purchase allows them.
    """

    countries: Annotated[list[Annotated[str, Meta(pattern="^[A-Z]{2}$")]], Meta(min_length=1)]
    bought_within: Duration


class ConsentDefinition(_Section, frozen=True, kw_only=True):
    """The purposes of messages, and names that withdraw consent, in addition to the built-in ones (``docs/events.md``).

    Attributes
    ----------
    withdrawal_events
        Names of your own events, each with the channel that it withdraws.
    withdrawal_traits
        Names of traits, each with the value that withdraws consent for all channels, or with ``value`` and ``channel``.
    ignore_traits
        Built-in traits that have another meaning here, such as ``subscribed`` for a paid plan.
    purposes
        Purposes besides ``marketing`` to which users may consent, at most 15.
    existing_customer
        Who may get e-mails without a consent; by default, no one.
    confirm
        Channels on which a consent counts only after the owner of the address has confirmed it. A template
        ``confirm_consent`` replaces the text of the e-mail that asks for it.
    """

    withdrawal_events: dict[str, Literal["email", "sms", "push", "all"]] = {}
    withdrawal_traits: dict[str, bool | str | TraitDefinition] = {}
    ignore_traits: list[str] = []
    purposes: Annotated[list[Name], Meta(max_length=15)] = []
    existing_customer: ExistingCustomerDefinition | None = None
    confirm: list[Literal["email"]] = []


class SegmentDefinition(_Section, frozen=True, kw_only=True):
    """A segment by rule.

    Attributes
    ----------
    name
        Name of the segment, by which conditions and triggers refer to it.
    when
        Condition that its members meet; :mod:`models.conditions.schema` has its form.
    on_apply
        How users who meet the condition when it is applied become members: ``silent``, or ``enter`` with a signal.
    """

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    when: WrittenCondition
    on_apply: OnApply = "silent"


class StageMoveDefinition(_Section, frozen=True, kw_only=True, rename={"origin": "from", "target": "to"}):
    """A move of users from one stage of the lifecycle to another, or from each of several stages.

    Attributes
    ----------
    from, to
        Names of stages.
    when
        Condition for the move; :mod:`models.conditions.schema` has its form. ``never`` removes a default move.
    """

    # A pattern in a union with a list makes msgspec 0.22 crash. So the names are checked when the moves are read.
    origin: str | list[str]
    target: Name
    when: str | WrittenCondition


class LifecycleDefinition(_Section, frozen=True, kw_only=True):
    """The stages of users, and the moves between them (``docs/lifecycle.md``).

    Attributes
    ----------
    defaults
        The moves to begin with: ``purchases``, ``usage`` or ``none``.
    moves
        Moves that replace the default move between the same stages, or that are added.
    stages
        Names of stages of your own, the first one first; only with ``defaults: none``.
    """

    defaults: DefaultName = "purchases"
    moves: list[StageMoveDefinition] = []
    stages: list[Name] | None = None


class SenderDefinition(_Section, frozen=True, kw_only=True):
    """The sender of messages.

    Attributes
    ----------
    postal_address
        Postal address, which each marketing e-mail has at its end.
    """

    postal_address: (
        Annotated[str, Meta(min_length=1, max_length=300, description="a postal address of 1 to 300 characters")] | None
    ) = None


class Definition(_Section, frozen=True, kw_only=True):
    """The sections of ``perennial.yaml`` that travel in the log.

    Attributes
    ----------
    timezone
        IANA name of the zone for users whose zone is unknown.
    churn, rules, caps, quiet_hours, events, consent, segments, lifecycle, journeys, campaigns, sender
        See the class of each section.
    """

    timezone: str = "UTC"
    churn: ChurnDefinition = ChurnDefinition()
    rules: list[RuleDefinition] = []
    caps: list[CapDefinition] = []
    quiet_hours: QuietHoursDefinition | None = None
    events: EventsDefinition = EventsDefinition()
    consent: ConsentDefinition = ConsentDefinition()
    segments: list[SegmentDefinition] = []
    lifecycle: LifecycleDefinition | None = None
    journeys: list[JourneyForm] = []
    campaigns: list[CampaignForm] = []
    sender: SenderDefinition = SenderDefinition()


SECTIONS: tuple[str, ...] = Definition.__struct_fields__
"""Top-level keys of the file that belong to the configuration in the log."""
