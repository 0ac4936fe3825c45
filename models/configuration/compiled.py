"""The configuration that travels in the log (``use configuration@v``): what the fold reads of ``perennial.yaml``.

Durations are milliseconds here, times of day minutes after midnight, and the templates' sources are carried along: a
replay of the log needs no file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec

from models.configuration import templates as liquid
from models.configuration.definition import (
    ChurnDefinition,
    ConsentDefinition,
    Definition,
    EventsDefinition,
    RuleDefinition,
    TraitDefinition,
    When,
)
from models.configuration.durations import milliseconds
from models.configuration.reading import read
from models.configuration.templates import Template
from models.errors import InvalidConfiguration
from models.events import Channel, EventType
from models.places import zones
from models.units import DAY, HOUR
from models.wire import withdrawals
from models.wire.withdrawals import NamedWithdrawal, StatingTrait

Category = Literal["marketing", "transactional"]

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
"""What counts as activity unless the file says otherwise."""


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a rule waits for.

    Attributes
    ----------
    kind
        ``churn_risk``, ``entered_segment``, ``first_purchase``, ``cart_left``, ``event``.
    threshold
        Of ``churn_risk``: the probability to rise to, 0 to 1.
    name
        Of the segment or of the event.
    delay
        Of ``cart_left``: milliseconds.
    where
        Of ``event``: the values that a property may have.
    """

    kind: Literal["churn_risk", "entered_segment", "first_purchase", "cart_left", "event"]
    threshold: float = 0.0
    name: str = ""
    delay: int = 0
    where: dict[str, tuple[str | int | float | bool, ...]] = {}


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """From a trigger to a message.

    Attributes
    ----------
    name, category, when, channels, template
        As in the file.
    expires_after, cooldown
        Milliseconds; a cooldown of 0 is none.
    """

    name: str
    category: Category
    when: Trigger
    channels: tuple[Channel, ...]
    template: str
    expires_after: int = DAY
    cooldown: int = 0


class Cap(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most ``messages`` marketing messages to a user in any ``within`` milliseconds, over one channel or all."""

    messages: int
    within: int
    channel: Channel | None = None


class QuietHours(msgspec.Struct, frozen=True):
    """From ``start`` to ``end``, minutes after the user's midnight; ``end`` below ``start`` lies on the next day."""

    start: int
    end: int


class EventSettings(msgspec.Struct, frozen=True):
    """How late an event may come: see ``definition.EventsDefinition``; milliseconds."""

    horizon: int = 48 * HOUR
    order_within: int = HOUR
    remember_orders: int = 90 * DAY


class ConsentSettings(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """Changes to the built-in tables of withdrawals (:mod:`models.wire.withdrawals`).

    Attributes
    ----------
    events
        By name of an event: the channel that it withdraws; ``None``: the one that the event names, or all.
    traits
        By name of a trait: how it is read.
    ignored
        Names of traits that state nothing here.
    """

    events: dict[str, Channel | None] = {}
    traits: dict[str, StatingTrait] = {}
    ignored: tuple[str, ...] = ()

    def trait(self, name: str) -> StatingTrait | None:
        """Return how a trait is read; ``None`` for one that states nothing."""
        return self._own_traits.get(withdrawals.normalized(name)) if self._own_traits else withdrawals.stating(name)

    def event(self, name: str) -> NamedWithdrawal | None:
        """Return what the name of a custom event withdraws here; ``None`` for any other name."""
        return self._own_events.get(withdrawals.normalized(name)) if self.events else None

    @cached_property
    def _own_traits(self) -> dict[str, StatingTrait]:
        """Every trait in use by its plain name; empty where the built-in table is in use as it is."""
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
    """What churn means.

    Attributes
    ----------
    activity
        Event types that count as activity.
    horizon_days
        No activity within it is churn.
    active_within_days
        Only users who were active within it before are looked at.
    example_every_days
        How often an example is taken of each user.
    """

    activity: tuple[EventType, ...] = ACTIVITY
    horizon_days: int = 14
    active_within_days: int = 30
    example_every_days: int = 7


class Configuration(msgspec.Struct, frozen=True, dict=True):
    """Everything that people decide and the fold obeys. ``Configuration()`` is usable: it has no rules.

    Attributes
    ----------
    timezone
        IANA name; where a user's own zone is not known, and for hours of the day.
    events, consent, churn, rules, caps, quiet_hours
        As in the file.
    templates
        By name; each that a rule uses is there.
    """

    timezone: str = "UTC"
    events: EventSettings = EventSettings()
    consent: ConsentSettings = ConsentSettings()
    churn: ChurnSettings = ChurnSettings()
    rules: tuple[Rule, ...] = ()
    caps: tuple[Cap, ...] = ()
    quiet_hours: QuietHours | None = None
    templates: dict[str, Template] = {}

    @cached_property
    def by_trigger(self) -> dict[tuple[str, str], tuple[Rule, ...]]:
        """Rules by the kind of their trigger and the name that it waits for, in the order of the file.

        The fold asks with every signal of every user: it costs the same with 5 rules and with 5,000.
        """
        found: dict[tuple[str, str], list[Rule]] = {}
        for rule in self.rules:
            # each rule has a timer of its own for a cart, and so a name of its own
            name = rule.name if rule.when.kind == "cart_left" else rule.when.name
            found.setdefault((rule.when.kind, name), []).append(rule)
        return {waiting: tuple(rules) for waiting, rules in found.items()}

    @cached_property
    def by_name(self) -> dict[str, Rule]:
        """Rules by their names."""
        return {rule.name: rule for rule in reversed(self.rules)}


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Configuration)


def encode(configuration: Configuration) -> bytes:
    """JSON for a ``use`` record; the same configuration gives the same bytes.

    Examples
    --------
    >>> decode(encode(Configuration(timezone="Europe/Berlin"))).timezone
    'Europe/Berlin'
    """
    return _encoder.encode(configuration)


def decode(content: bytes) -> Configuration:
    """Read what :func:`encode` wrote; raises ``msgspec.DecodeError`` where it is something else."""
    return _decoder.decode(content)


def parse(mapping: Mapping[str, Any], templates: Mapping[str, Template]) -> Configuration:
    """Read the configuration's sections of ``perennial.yaml``.

    Parameters
    ----------
    mapping
        Nothing but the keys of ``definition.SECTIONS``.
    templates
        By name; only those that a rule uses are carried along, but all are checked.

    Raises
    ------
    InvalidConfiguration
        With the path in the file, what was found, and what is allowed.

    Examples
    --------
    >>> parse({"caps": [{"messages": 3, "within": "7d"}]}, {}).caps
    (Cap(messages=3, within=604800000, channel=None),)
    """
    written = read(mapping, Definition)
    if written.timezone not in zones.names():
        raise InvalidConfiguration("timezone", written.timezone, "an IANA zone, such as Europe/Berlin")
    for name, template in templates.items():
        liquid.check(name, template)
    quiet = written.quiet_hours
    if quiet is not None and quiet.start == quiet.end:
        raise InvalidConfiguration("quiet_hours.to", quiet.end, "another time than `from`")
    rules = tuple(_rule(rule, f"rules[{i}]", templates) for i, rule in enumerate(written.rules))
    seen: set[str] = set()
    for i, rule in enumerate(rules):
        if rule.name in seen:
            raise InvalidConfiguration(f"rules[{i}].name", rule.name, "a name that no other rule has")
        seen.add(rule.name)
    return Configuration(
        timezone=written.timezone,
        events=_events(written.events),
        consent=_consent(written.consent),
        churn=_churn(written.churn),
        rules=rules,
        caps=tuple(Cap(cap.messages, milliseconds(cap.within), cap.channel) for cap in written.caps),
        quiet_hours=None if quiet is None else QuietHours(_minutes(quiet.start), _minutes(quiet.end)),
        templates={rule.template: templates[rule.template] for rule in rules},
    )


def _rule(written: RuleDefinition, path: str, templates: Mapping[str, Template]) -> Rule:
    template = written.template or written.name
    if template not in templates:
        known = ", ".join(sorted(templates)) or "none: there is no folder of that name with a text.liquid"
        raise InvalidConfiguration(f"{path}.template", template, f"a template beside the file ({known})")
    if "email" in written.channels and not templates[template].subject.strip():
        raise InvalidConfiguration(f"templates.{template}.subject", "", "a subject, for a rule that sends e-mail")
    if written.category == "transactional":
        _require_fallback(template, templates[template], "email" in written.channels)
    return Rule(
        name=written.name,
        category=written.category,
        when=_trigger(written.when, f"{path}.when"),
        channels=tuple(dict.fromkeys(written.channels)),
        template=template,
        expires_after=milliseconds(written.expires_after),
        cooldown=milliseconds(written.cooldown) if written.cooldown else 0,
    )


_FALLBACK = (
    "a text for when the template fails, since the rule is transactional, that names nothing but "
    f"{', '.join(liquid.FALLBACK_NAMES)}, such as: Subject: Your order / / Thank you, we have your order."
)


def _require_fallback(name: str, template: Template, is_by_email: bool) -> None:
    path = f"templates.{name}.fallback"
    if template.fallback is None or not template.fallback.strip():
        raise InvalidConfiguration(path, template.fallback, _FALLBACK)
    subject, text, _ = liquid.fallback_parts(template.fallback)
    if not text.strip():
        raise InvalidConfiguration(path, template.fallback, _FALLBACK)
    if is_by_email and not subject:
        found = template.fallback.splitlines()[0]
        raise InvalidConfiguration(path, found, "a first line `Subject: ...`, for a rule that sends e-mail")


_KINDS = ("churn_risk", "entered_segment", "first_purchase", "cart_left", "event")


def _trigger(when: When, path: str) -> Trigger:
    given = [kind for kind in _KINDS if getattr(when, kind) is not None]
    if len(given) != 1:
        raise InvalidConfiguration(path, given, f"exactly one of {', '.join(_KINDS)}")
    if when.where is not None and when.event is None:
        raise InvalidConfiguration(f"{path}.where", when.where, "nothing: only `event` has properties")
    if when.churn_risk is not None:
        return Trigger(kind="churn_risk", threshold=when.churn_risk.crosses)
    if when.entered_segment is not None:
        return Trigger(kind="entered_segment", name=when.entered_segment)
    if when.cart_left is not None:
        return Trigger(kind="cart_left", delay=milliseconds(when.cart_left.after))
    if when.event is not None:
        where = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in (when.where or {}).items()}
        return Trigger(kind="event", name=when.event, where=where)
    return Trigger(kind="first_purchase")


LONGEST_HORIZON = 30 * DAY
"""So long ids may have to be remembered: each takes 8 bytes of memory."""

MAX_REMEMBERED_ORDERS = 366 * DAY
"""Maximum of ``events.remember_orders``. An order costs about 32 bytes of memory, or 20 of a user who rests."""


def _events(written: EventsDefinition) -> EventSettings:
    settings = EventSettings(
        milliseconds(written.horizon), milliseconds(written.order_within), milliseconds(written.remember_orders)
    )
    if not HOUR <= settings.horizon <= LONGEST_HORIZON:
        raise InvalidConfiguration("events.horizon", written.horizon, "an hour (1h) to 30 days (30d)")
    if settings.order_within > settings.horizon:
        raise InvalidConfiguration("events.order_within", written.order_within, f"at most {written.horizon}")
    if not settings.horizon <= settings.remember_orders <= MAX_REMEMBERED_ORDERS:
        allowed = f"{written.horizon}, as the horizon is, to 366 days (366d)"
        raise InvalidConfiguration("events.remember_orders", written.remember_orders, allowed)
    return settings


def _consent(written: ConsentDefinition) -> ConsentSettings:
    _distinct("consent.withdrawal_events", written.withdrawal_events)
    _distinct("consent.withdrawal_traits", written.withdrawal_traits)
    traits = {}
    for name, said in written.withdrawal_traits.items():
        if isinstance(said, TraitDefinition):
            traits[name] = StatingTrait(said.value, None if said.channel == "all" else said.channel)
        else:
            traits[name] = StatingTrait(said)
    for i, name in enumerate(written.ignore_traits):
        if withdrawals.stating(name) is None:
            allowed = f"one of {', '.join(withdrawals.TRAITS)}"
            raise InvalidConfiguration(f"consent.ignore_traits[{i}]", name, allowed)
    return ConsentSettings(
        events={name: None if channel == "all" else channel for name, channel in written.withdrawal_events.items()},
        traits=traits,
        ignored=tuple(dict.fromkeys(written.ignore_traits)),
    )


def _distinct(path: str, names: Collection[str]) -> None:
    known: set[str] = set()
    for name in names:
        plain = withdrawals.normalized(name)
        if not plain or plain in known:
            raise InvalidConfiguration(path, name, "names that differ in more than case, blanks and separators")
        known.add(plain)


OPEN_EXAMPLES = 60
"""So many examples of a user may wait for their labels: each holds a whole row of features in the user's state."""


def _churn(written: ChurnDefinition) -> ChurnSettings:
    settings = ChurnSettings(
        activity=ACTIVITY if written.activity is None else tuple(dict.fromkeys(written.activity)),
        horizon_days=milliseconds(written.horizon) // DAY,
        active_within_days=milliseconds(written.active_within) // DAY,
        example_every_days=milliseconds(written.example_every) // DAY,
    )
    if settings.horizon_days > OPEN_EXAMPLES * settings.example_every_days:
        allowed = f"at least a {OPEN_EXAMPLES}th of the horizon ({written.horizon})"
        raise InvalidConfiguration("churn.example_every", written.example_every, allowed)
    return settings


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
