"""Turn the sections of ``perennial.yaml`` into the compiled configuration, or raise an error with place and reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from models.addresses import country_of
from models.conditions import comparing
from models.conditions.clauses import Scalar
from models.conditions.parsing import parse_segments
from models.conditions.schema import Operators, Wherever
from models.configuration import stages
from models.configuration import templates as liquid
from models.configuration.campaigns.definition import Campaign
from models.configuration.campaigns.parsing import check_campaigns, parse_campaigns
from models.configuration.categories import Category
from models.configuration.compiled import (
    ACTIVITY,
    Cap,
    ChurnSettings,
    Configuration,
    ConsentSettings,
    EventSettings,
    ExistingCustomers,
    QuietHours,
    Rule,
    Trigger,
    TriggerKind,
)
from models.configuration.confirming import confirmation
from models.configuration.definition import (
    CapDefinition,
    ChurnDefinition,
    ConsentDefinition,
    Definition,
    EventsDefinition,
    ExistingCustomerDefinition,
    QuietHoursDefinition,
    RuleDefinition,
    TraitDefinition,
    When,
)
from models.configuration.journeys.checking import check_journeys
from models.configuration.journeys.cycles import refuse_cycles
from models.configuration.journeys.definition import Journey
from models.configuration.journeys.parsing import parse_journeys
from models.configuration.marks import require_silent_readers
from models.configuration.preference_links import own_link_template
from models.configuration.sending import require_template
from models.configuration.templates import Template
from models.durations import milliseconds
from models.errors import InvalidConfiguration
from models.events import MARKETING
from models.places import zones
from models.reading import read
from models.units import DAY, HOUR
from models.wire import withdrawals
from models.wire.withdrawals import StatingTrait

MAX_HORIZON_MS = 30 * DAY
"""Maximum of ``events.horizon``, milliseconds; each message id within the horizon takes 8 bytes of memory."""
MAX_REMEMBERED_ORDERS_MS = 366 * DAY
"""Maximum of ``events.remember_orders``, milliseconds.

An order takes about 32 bytes of memory, or 20 bytes if its user is dormant.
"""
MAX_OPEN_EXAMPLES = 60
"""Maximum number of a user's examples that wait for their labels, because each holds a whole row of features."""

_KINDS: tuple[str, ...] = get_args(TriggerKind)


def parse(mapping: Mapping[str, Any], templates: Mapping[str, Template]) -> Configuration:
    """Read the sections of ``perennial.yaml`` that belong to the configuration.

    Parameters
    ----------
    mapping
        The sections by name; only the names in ``definition.SECTIONS`` are allowed.
    templates
        Templates by name. All are checked, and those that a rule uses are included in the result.

    Raises
    ------
    InvalidConfiguration
        A section is wrong. The message gives the path in the file, the value found, and the values allowed.

    Examples
    --------
    >>> parse({"caps": [{"messages": 3, "within": "7d"}]}, {}).caps
    (Cap(messages=3, within=604800000, channel=None, category='marketing', journey=''),)
    """
    written = read(mapping, Definition)
    if written.timezone not in zones.names():
        raise InvalidConfiguration("timezone", written.timezone, "an IANA zone, such as Europe/Berlin")
    for name, template in templates.items():
        liquid.check(name, template)
    quiet = _quiet_hours(written.quiet_hours)
    rules = _rules(written.rules, templates)
    segments = parse_segments(mapping.get("segments", []))
    lifecycle = None if written.lifecycle is None else stages.read_lifecycle(written.lifecycle)
    require_silent_readers(segments)
    stages.check_stages(segments, lifecycle)
    for i, rule in enumerate(rules):
        if rule.when.kind == "entered_stage":
            stages.require_stage(rule.when.name, lifecycle, f"rules[{i}].when.entered_stage")
    journeys = parse_journeys(mapping.get("journeys", []))
    check_journeys(journeys, {rule.name for rule in rules}, templates, lifecycle)
    refuse_cycles(journeys, segments)
    campaigns = parse_campaigns(mapping.get("campaigns", []))
    check_campaigns(campaigns, journeys, templates, lifecycle)
    _require_purposes(rules, journeys, campaigns, written.consent)
    names = {rule.name for rule in rules}
    asking = confirmation(templates, written.consent.confirm, names) | own_link_template(templates, names)
    # Runs may walk older versions of journeys, whose templates no step of the newest version names.
    used = set(templates) if journeys or campaigns else {rule.template for rule in rules}
    return Configuration(
        timezone=written.timezone,
        events=_events(written.events),
        consent=_consent(written.consent),
        churn=_churn(written.churn),
        rules=rules,
        caps=tuple(_cap(cap, f"caps[{i}]", journeys) for i, cap in enumerate(written.caps)),
        quiet_hours=quiet,
        templates={name: templates[name] for name in sorted(used)} | asking,
        segments=segments,
        lifecycle=lifecycle,
        journeys=journeys,
        campaigns=campaigns,
        postal_address="\n".join(filter(None, map(str.strip, (written.sender.postal_address or "").splitlines()))),
    )


def _rules(written: Sequence[RuleDefinition], templates: Mapping[str, Template]) -> tuple[Rule, ...]:
    rules = tuple(_rule(rule, f"rules[{i}]", templates) for i, rule in enumerate(written))
    seen: set[str] = set()
    for i, rule in enumerate(rules):
        if rule.name in seen:
            raise InvalidConfiguration(f"rules[{i}].name", rule.name, "a name that no other rule has")
        seen.add(rule.name)
    return rules


def _cap(written: CapDefinition, path: str, journeys: Sequence[Journey]) -> Cap:
    category: Category = written.category or "marketing"
    if written.journey is not None:
        named = {journey.name: journey for journey in journeys}
        if written.journey not in named:
            allowed = f"one of the journeys: {', '.join(named)}" if named else "the name of a journey; there is none"
            raise InvalidConfiguration(f"{path}.journey", written.journey, allowed)
        category = named[written.journey].category
        if written.category not in (None, category):
            allowed = f"{category}, which is the category of the journey {written.journey}"
            raise InvalidConfiguration(f"{path}.category", written.category, allowed)
    within = milliseconds(written.within)
    return Cap(written.messages, within, written.channel, category, written.journey or "")


def _quiet_hours(written: QuietHoursDefinition | None) -> QuietHours | None:
    if written is None:
        return None
    if written.start == written.end:
        raise InvalidConfiguration("quiet_hours.to", written.end, "another time than `from`")
    return QuietHours(_minutes(written.start), _minutes(written.end))


def _rule(written: RuleDefinition, path: str, templates: Mapping[str, Template]) -> Rule:
    template = written.template or written.name
    require_template(templates, template, f"{path}.template", written.channels, written.category)
    return Rule(
        name=written.name,
        category=written.category,
        when=_trigger(written.when, f"{path}.when"),
        channels=tuple(dict.fromkeys(written.channels)),
        template=template,
        expires_after=milliseconds(written.expires_after),
        cooldown=milliseconds(written.cooldown) if written.cooldown else 0,
        purpose=written.purpose,
    )


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
    if when.entered_stage is not None:
        return Trigger(kind="entered_stage", name=when.entered_stage)
    if when.cart_left is not None:
        return Trigger(kind="cart_left", delay=milliseconds(when.cart_left.after))
    if when.event is not None:
        where, operators = _where(when.where or {})
        conditions = comparing.where(operators, f"{path}.where")
        return Trigger(kind="event", name=when.event, where=where, conditions=conditions)
    return Trigger(kind="first_purchase")


def _where(written: Wherever) -> tuple[dict[str, tuple[Scalar, ...]], Wherever]:
    """Divide what properties must be into values, which every format level knows, and operators."""
    values: dict[str, tuple[Scalar, ...]] = {}
    operators: Wherever = {}
    for name, value in written.items():
        if isinstance(value, Operators):
            operators[name] = value
        else:
            values[name] = tuple(value) if isinstance(value, list) else (value,)
    return values, operators


def _events(written: EventsDefinition) -> EventSettings:
    settings = EventSettings(
        milliseconds(written.horizon), milliseconds(written.order_within), milliseconds(written.remember_orders)
    )
    if not HOUR <= settings.horizon <= MAX_HORIZON_MS:
        raise InvalidConfiguration("events.horizon", written.horizon, "an hour (1h) to 30 days (30d)")
    if settings.order_within > settings.horizon:
        raise InvalidConfiguration("events.order_within", written.order_within, f"at most {written.horizon}")
    if not settings.horizon <= settings.remember_orders <= MAX_REMEMBERED_ORDERS_MS:
        allowed = f"from the horizon ({written.horizon}) to 366 days (366d)"
        raise InvalidConfiguration("events.remember_orders", written.remember_orders, allowed)
    return settings


def _consent(written: ConsentDefinition) -> ConsentSettings:
    _distinct("consent.withdrawal_events", written.withdrawal_events)
    _distinct("consent.withdrawal_traits", written.withdrawal_traits)
    traits = {}
    for name, stated in written.withdrawal_traits.items():
        if isinstance(stated, TraitDefinition):
            traits[name] = StatingTrait(stated.value, None if stated.channel == "all" else stated.channel)
        else:
            traits[name] = StatingTrait(stated)
    for i, name in enumerate(written.ignore_traits):
        if withdrawals.stating(name) is None:
            allowed = f"one of {', '.join(withdrawals.TRAITS)}"
            raise InvalidConfiguration(f"consent.ignore_traits[{i}]", name, allowed)
    for i, purpose in enumerate(written.purposes):
        if purpose == MARKETING or purpose in written.purposes[:i]:
            allowed = f"each purpose once; {MARKETING} is always there"
            raise InvalidConfiguration(f"consent.purposes[{i}]", purpose, allowed)
    return ConsentSettings(
        events={name: None if channel == "all" else channel for name, channel in written.withdrawal_events.items()},
        traits=traits,
        ignored=tuple(dict.fromkeys(written.ignore_traits)),
        purposes=tuple(written.purposes),
        existing_customer=_existing_customers(written.existing_customer),
        confirm=tuple(dict.fromkeys(written.confirm)),
    )


def _existing_customers(written: ExistingCustomerDefinition | None) -> ExistingCustomers | None:
    if written is None:
        return None
    for i, code in enumerate(written.countries):
        if country_of({"country": code}) != code:
            path = f"consent.existing_customer.countries[{i}]"
            raise InvalidConfiguration(path, code, "a code of ISO 3166, such as DE")
    return ExistingCustomers(tuple(dict.fromkeys(written.countries)), milliseconds(written.bought_within))


def _require_purposes(
    rules: Sequence[Rule], journeys: Sequence[Journey], campaigns: Sequence[Campaign], consent: ConsentDefinition
) -> None:
    """Check that users may consent to the purposes of all rules, journeys and campaigns."""
    allowed = (MARKETING, *consent.purposes)
    named = [(f"rules[{i}].purpose", rule.purpose) for i, rule in enumerate(rules)]
    named += [(f"journeys[{i}].purpose", journey.purpose) for i, journey in enumerate(journeys)]
    named += [(f"campaigns[{i}].purpose", campaign.purpose) for i, campaign in enumerate(campaigns)]
    for path, purpose in named:
        if purpose not in allowed:
            hint = f"`consent.purposes` lists those besides {MARKETING}"
            raise InvalidConfiguration(path, purpose, f"one of {', '.join(allowed)}; {hint}")


def _distinct(path: str, names: Collection[str]) -> None:
    known: set[str] = set()
    for name in names:
        plain = withdrawals.normalized(name)
        if not plain or plain in known:
            raise InvalidConfiguration(path, name, "names that differ in more than case, blanks and separators")
        known.add(plain)


def _churn(written: ChurnDefinition) -> ChurnSettings:
    settings = ChurnSettings(
        activity=ACTIVITY if written.activity is None else tuple(dict.fromkeys(written.activity)),
        horizon_days=milliseconds(written.horizon) // DAY,
        active_within_days=milliseconds(written.active_within) // DAY,
        example_every_days=milliseconds(written.example_every) // DAY,
    )
    if settings.horizon_days > MAX_OPEN_EXAMPLES * settings.example_every_days:
        allowed = f"at least a {MAX_OPEN_EXAMPLES}th of the horizon ({written.horizon})"
        raise InvalidConfiguration("churn.example_every", written.example_every, allowed)
    return settings


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
