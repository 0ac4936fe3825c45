"""The form in which people write the configuration: the sections of ``perennial.yaml`` that travel in the log.

Only the file's shape stands here (its JSON Schema is made from these structs); ``configuration.parse`` turns it into
what the fold reads.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.configuration import durations
from models.events import Channel, EventType

Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]
Days = Annotated[str, Meta(pattern="^[1-9][0-9]{0,3}(d|w)$", description="whole days: 14d or 2w")]
ClockTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description='wall time, such as "21:00"')]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$", description="lower case letters, digits, underscores")]
Scalar = str | int | float | bool


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Crossing(_Section, frozen=True, kw_only=True):
    """When the churn probability rises to ``crosses`` or above."""

    crosses: Annotated[float, Meta(gt=0, lt=1)]


class CartLeft(_Section, frozen=True, kw_only=True, rename={"after": "for"}):
    """When a filled cart has not changed for so long."""

    after: Duration


class When(_Section, frozen=True, kw_only=True):
    """What triggers a rule; exactly one of these.

    Attributes
    ----------
    churn_risk
        The probability rose to a threshold.
    entered_segment
        The user moved into the segment of that name.
    first_purchase
        The first order of this user.
    cart_left
        A filled cart was left alone.
    event
        An event of that name (``Trial Started``) or type (``refund``).
    where
        With ``event``: properties that must have that value, or one of those values.
    """

    churn_risk: Crossing | None = None
    entered_segment: Annotated[str, Meta(min_length=1)] | None = None
    first_purchase: Literal[True] | None = None
    cart_left: CartLeft | None = None
    event: Annotated[str, Meta(min_length=1)] | None = None
    where: dict[str, Scalar | list[Scalar]] | None = None


class RuleDefinition(_Section, frozen=True, kw_only=True):
    """One rule: from a trigger to a message.

    Attributes
    ----------
    name
        Unique.
    category
        ``marketing`` needs consent and respects caps and quiet hours; ``transactional`` needs none of them.
    when
        The trigger.
    channels
        In order of preference; the first that may be used is.
    template
        Name of its folder beside the configuration; the rule's name by default.
    expires_after
        A trigger older than this is dropped.
    cooldown
        At most one message of this rule to a user within it.
    """

    name: Name
    category: Literal["marketing", "transactional"] = "marketing"
    when: When
    channels: Annotated[list[Channel], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["email"])
    template: Name | None = None
    expires_after: Duration = "24h"
    cooldown: Duration | None = None


class CapDefinition(_Section, frozen=True, kw_only=True):
    """At most so many marketing messages to a user within a rolling window, over all channels or over one."""

    messages: Annotated[int, Meta(ge=0)]
    within: Duration
    channel: Channel | None = None


class QuietHoursDefinition(_Section, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """When nobody is marketed to, in the user's own time zone; ``to`` may lie on the next day."""

    start: ClockTime
    end: ClockTime


class ChurnDefinition(_Section, frozen=True, kw_only=True):
    """What churn means here.

    Attributes
    ----------
    activity
        Event types that count as activity.
    horizon
        No activity within it is churn.
    active_within
        Only users who were active within it before are looked at.
    example_every
        How often an example is taken of each user.
    """

    activity: Annotated[list[EventType], Meta(min_length=1)] | None = None
    horizon: Days = "14d"
    active_within: Days = "30d"
    example_every: Days = "7d"


class EventsDefinition(_Section, frozen=True, kw_only=True):
    """Bounds of late events, and how long orders are known.

    Attributes
    ----------
    horizon
        A repeat within it is known by its ``messageId``; events older than it are refused as ``too_late``. 30 days at
        most: ids are kept in memory for so long.
    order_within
        What is read so soon after it happened is put into its place in time. At most the horizon.
    remember_orders
        Time for which an order is known by its id after it was placed or updated, if it is one of the user's 64
        newest. At least the horizon, at most 366 days.
    """

    horizon: Duration = "48h"
    order_within: Duration = "1h"
    remember_orders: Duration = "90d"


class TraitDefinition(_Section, frozen=True, kw_only=True):
    """A trait that withdraws consent for one channel.

    Attributes
    ----------
    value
        The value that is a withdrawal: ``true``, ``false``, or a word.
    channel
        Of which channel.
    """

    value: bool | str
    channel: Literal["email", "sms", "all"] = "all"


class ConsentDefinition(_Section, frozen=True, kw_only=True):
    """Names that withdraw consent, besides those that are built in (``docs/events.md``). None of them ever grants it.

    Attributes
    ----------
    withdrawal_events
        Names of events of your own, each with the channel that it withdraws.
    withdrawal_traits
        Names of traits, each with the value that withdraws consent for all channels, or with ``value`` and ``channel``.
    ignore_traits
        Built-in traits that mean something else here, such as ``subscribed`` to a paid plan.
    """

    withdrawal_events: dict[str, Literal["email", "sms", "all"]] = {}
    withdrawal_traits: dict[str, bool | str | TraitDefinition] = {}
    ignore_traits: list[str] = []


class Definition(_Section, frozen=True, kw_only=True):
    """The sections of ``perennial.yaml`` that travel in the log.

    Attributes
    ----------
    timezone
        IANA name; where a user's own zone is not known, and for hours of the day.
    churn, rules, caps, quiet_hours, events, consent
        See there.
    """

    timezone: str = "UTC"
    churn: ChurnDefinition = ChurnDefinition()
    rules: list[RuleDefinition] = []
    caps: list[CapDefinition] = []
    quiet_hours: QuietHoursDefinition | None = None
    events: EventsDefinition = EventsDefinition()
    consent: ConsentDefinition = ConsentDefinition()


SECTIONS: tuple[str, ...] = Definition.__struct_fields__
"""Top-level keys of the file that belong to the configuration in the log."""
