"""The compiled configuration, which the fold reads from a control record ``use`` in the log.

Durations are milliseconds here, and times of day are minutes after midnight. The sources of the templates are included,
so a replay of the log needs no file. :mod:`models.configuration.parsing` makes this form from ``perennial.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal, TypeAlias

import msgspec

from models.conditions.clauses import SegmentRule, Where
from models.conditions.matching import EventTest, event_test
from models.configuration.campaigns.definition import Campaign
from models.configuration.categories import Category
from models.configuration.journeys.definition import Journey, SendStep
from models.configuration.journeys.versions import places_of
from models.configuration.preference_links import BUILT_IN_LINK, LINK_REQUESTED
from models.configuration.templates import CONFIRM, NEW_LINK, Template
from models.events import MARKETING, Channel, EventType
from models.lifecycle.definition import Lifecycle
from models.units import DAY, HOUR
from models.wire import withdrawals
from models.wire.withdrawals import NamedWithdrawal, StatingTrait

TriggerKind: TypeAlias = Literal[
    "churn_risk", "entered_segment", "entered_stage", "first_purchase", "cart_left", "event"
]

ACTIVITY: tuple[EventType, ...] = (
    "page_view",
    "product_view",
    "click",
    "cart_add",
    "cart_remove",
    "purchase",
    "rating",
    "support_message",
)
"""Types of events in which a person is active; the default of ``churn.activity``."""


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Condition on which a rule sends a message.

    Attributes
    ----------
    kind
        ``churn_risk``, ``entered_segment``, ``entered_stage``, ``first_purchase``, ``cart_left`` or ``event``.
    threshold
        For ``churn_risk``: probability to which the risk must rise, 0 to 1.
    name
        Name of the segment, of the stage or of the event.
    delay
        For ``cart_left``: time for which the cart must be unchanged, milliseconds.
    where
        For ``event``: values that a property may have, by the property's name. Only what the sender states counts here.
    conditions
        For ``event``: comparisons of properties and of the event's own fields, as in segments by rule.
    """

    kind: TriggerKind
    threshold: float = 0.0
    name: str = ""
    delay: int = 0
    where: dict[str, tuple[str | int | float | bool, ...]] = {}
    conditions: Where = ()


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A trigger and the message that it sends.

    Attributes
    ----------
    name, category, when, channels, template, purpose
        As in ``perennial.yaml``.
    expires_after, cooldown
        Milliseconds. A cooldown of 0 means no cooldown.
    """

    name: str
    category: Category
    when: Trigger
    channels: tuple[Channel, ...]
    template: str
    expires_after: int = DAY
    cooldown: int = 0
    purpose: str = MARKETING


LINK_RULE = Rule(
    name=NEW_LINK,
    category="transactional",
    when=Trigger(kind="event", name=LINK_REQUESTED),
    channels=("email",),
    template=NEW_LINK,
    cooldown=HOUR,
)
"""The rule that sends a new link to the page of a user's choices. The holder of an old link may ask for it."""


class Cap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit on messages to one user.

    Attributes
    ----------
    messages
        Maximum number of messages.
    within
        Length of the rolling window, milliseconds.
    channel
        Channel that is limited; ``None`` limits all channels together.
    category
        Category that is limited.
    journey
        Journey that is limited; empty limits all messages of the category.
    """

    messages: int
    within: int
    channel: Channel | None = None
    category: Category = "marketing"
    journey: str = ""


class QuietHours(msgspec.Struct, frozen=True):
    """Time of day without marketing messages, in the user's time zone.

    Attributes
    ----------
    start, end
        Minutes after midnight. If ``end`` is below ``start``, it is on the next day.
    """

    start: int
    end: int


class EventSettings(msgspec.Struct, frozen=True):
    """Limits for late and repeated events, milliseconds; see ``definition.EventsDefinition``."""

    horizon: int = 48 * HOUR
    order_within: int = HOUR
    remember_orders: int = 90 * DAY


class ExistingCustomers(msgspec.Struct, frozen=True):
    """The customers who may get e-mails on the basis ``existing_customer``.

    Attributes
    ----------
    countries
        Codes of their countries, ISO 3166.
    bought_within
        Time after the last purchase, milliseconds.
    """

    countries: tuple[str, ...]
    bought_within: int


class ConsentSettings(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """Changes to the built-in tables of withdrawals (:mod:`models.wire.withdrawals`), and the purposes of messages.

    Attributes
    ----------
    events
        Channel that an event withdraws, by the event's name. ``None`` means the channel that the event itself states,
        or all channels.
    traits
        Meaning of a trait, by the trait's name.
    ignored
        Names of built-in traits that have another meaning here.
    purposes
        The purposes besides ``marketing`` to which users may consent.
    existing_customer
        Who may get e-mails without a consent; ``None`` for no one.
    confirm
        The channels on which the owner of the address has to confirm a consent.
    """

    events: dict[str, Channel | None] = {}
    traits: dict[str, StatingTrait] = {}
    ignored: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    existing_customer: ExistingCustomers | None = None
    confirm: tuple[Channel, ...] = ()

    def trait(self, name: str) -> StatingTrait | None:
        """Return the meaning of a trait, or ``None`` if the trait says nothing about consent."""
        return self._own_traits.get(withdrawals.normalized(name)) if self._own_traits else withdrawals.stating(name)

    def event(self, name: str) -> NamedWithdrawal | None:
        """Return the withdrawal that a custom event of that name states, or ``None`` if it states none."""
        return self._own_events.get(withdrawals.normalized(name)) if self.events else None

    @cached_property
    def _own_traits(self) -> dict[str, StatingTrait]:
        """Traits in use by their normalized names; empty if the built-in table is used unchanged."""
        if not self.traits and not self.ignored:
            return {}
        ignored = set(map(withdrawals.normalized, self.ignored))
        every = {**withdrawals.TRAITS, **self.traits}
        plain = {withdrawals.normalized(name): trait for name, trait in every.items()}
        return {name: trait for name, trait in plain.items() if name not in ignored}

    @cached_property
    def _own_events(self) -> dict[str, NamedWithdrawal]:
        return {withdrawals.normalized(name): NamedWithdrawal(channel) for name, channel in self.events.items()}


class ChurnSettings(msgspec.Struct, frozen=True):
    """Definition of churn.

    Attributes
    ----------
    activity
        Event types that count as activity.
    horizon_days
        A user without activity for this many days has churned.
    active_within_days
        Examples are taken only of users who were active within this many days before the example.
    example_every_days
        Days between two examples of one user.
    """

    activity: tuple[EventType, ...] = ACTIVITY
    horizon_days: int = 14
    active_within_days: int = 30
    example_every_days: int = 7


class Configuration(msgspec.Struct, frozen=True, dict=True):
    """All settings of the fold that a person decides. ``Configuration()`` is valid and has no rules.

    Attributes
    ----------
    timezone
        IANA name of the zone for users whose zone is unknown.
    postal_address
        The sender's postal address, for the end of marketing e-mails; empty if there is none.
    events, consent, churn, rules, caps, quiet_hours, segments, lifecycle, journeys, campaigns
        As in ``perennial.yaml``. Without a lifecycle, users have no stages.
    templates
        Templates of all rules, by name. If there are journeys or campaigns, all templates, because older versions of
        them may be under way.
    """

    timezone: str = "UTC"
    events: EventSettings = EventSettings()
    consent: ConsentSettings = ConsentSettings()
    churn: ChurnSettings = ChurnSettings()
    rules: tuple[Rule, ...] = ()
    caps: tuple[Cap, ...] = ()
    quiet_hours: QuietHours | None = None
    templates: dict[str, Template] = {}
    segments: tuple[SegmentRule, ...] = ()
    lifecycle: Lifecycle | None = None
    journeys: tuple[Journey, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    postal_address: str = ""

    @cached_property
    def by_trigger(self) -> dict[tuple[str, str], tuple[Rule, ...]]:
        """Rules by the kind and the name of their trigger, in the sequence of the file.

        The fold looks rules up for every signal of every user. With this index, a look-up costs the same for 5 and for
        5,000 rules.
        """
        found: dict[tuple[str, str], list[Rule]] = {}
        for rule in (*self.rules, LINK_RULE):
            # A cart has a separate timer for each rule, so the name of the rule stands for the trigger.
            name = rule.name if rule.when.kind == "cart_left" else rule.when.name
            found.setdefault((rule.when.kind, name), []).append(rule)
        return {waiting: tuple(rules) for waiting, rules in found.items()}

    @cached_property
    def event_tests(self) -> dict[str, tuple[tuple[str, EventTest], ...]]:
        """Rules with comparisons in ``where``, and their tests, by the name of the event that they wait for."""
        found: dict[str, list[tuple[str, EventTest]]] = {}
        for rule in self.rules:
            test = event_test(rule.when.conditions)
            if test is not None:
                found.setdefault(rule.when.name, []).append((rule.name, test))
        return {name: tuple(tests) for name, tests in found.items()}

    @cached_property
    def by_name(self) -> dict[str, Rule]:
        """Rules by their names, and the ``send`` steps of journeys as rules of the name ``journey/step``."""
        asking = () if self.confirm_rule is None else (self.confirm_rule,)
        return {**send_rules(self.journeys), **{rule.name: rule for rule in (*asking, *reversed(self.rules))}}

    def rule(self, name: str) -> Rule | None:
        """Return the rule of a name, also the built-in one that sends a new link to the user's choices."""
        return LINK_RULE if name == NEW_LINK else self.by_name.get(name)

    def template(self, name: str) -> Template | None:
        """Return the template of a name; the built-in one if the settings do not replace it."""
        return self.templates.get(name, BUILT_IN_LINK if name == NEW_LINK else None)

    @cached_property
    def confirm_rule(self) -> Rule | None:
        """The rule that asks the owner of an address to confirm a consent; ``None`` if no consent needs it."""
        if not self.consent.confirm:
            return None
        return Rule(
            name=CONFIRM,
            category="transactional",
            when=Trigger(kind="event", name=CONFIRM),
            channels=self.consent.confirm,
            template=CONFIRM,
        )


def send_rules(journeys: Iterable[Journey]) -> dict[str, Rule]:
    """Return the rules of all ``send`` steps of journeys, by their names."""
    steps = ((journey, step) for journey in journeys for _, step in places_of(journey.steps))
    sends = (send_rule(journey, step) for journey, step in steps if isinstance(step, SendStep))
    return {rule.name: rule for rule in sends}


def send_rule(journey: Journey, step: SendStep) -> Rule:
    """Return the rule by which the planner decides about a ``send`` step. A journey itself triggers it."""
    return Rule(
        name=f"{journey.name}/{step.id}",
        category=journey.category,
        when=Trigger(kind="event", name=journey.name),
        channels=step.channels,
        template=step.template,
        expires_after=step.expires_after,
        purpose=journey.purpose,
    )


def campaign_rule(campaign: Campaign) -> Rule:
    """Return the rule by which the planner decides about the message of a campaign. The campaign itself triggers it."""
    return Rule(
        name=campaign.rule,
        category=campaign.category,
        when=Trigger(kind="event", name=campaign.name),
        channels=campaign.channels,
        template=campaign.template,
        expires_after=campaign.expires_after,
        purpose=campaign.purpose,
    )


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Configuration)


def encode(configuration: Configuration) -> bytes:
    """Return the JSON for a ``use`` record; the same configuration gives the same bytes.

    Examples
    --------
    >>> decode(encode(Configuration(timezone="Europe/Berlin"))).timezone
    'Europe/Berlin'
    """
    plain = msgspec.to_builtins(configuration)
    for name in ("segments", "lifecycle", "journeys", "campaigns", "postal_address"):
        if not plain[name]:
            # A configuration without them has the same bytes as at level 1, so it does not become a new version.
            del plain[name]
    return _encoder.encode(plain)


def decode(content: bytes) -> Configuration:
    """Decode the JSON from :func:`encode`; raise ``msgspec.DecodeError`` if the bytes are something else."""
    return _decoder.decode(content)
