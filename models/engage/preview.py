"""Show a template as somebody would get it, without a trigger and without a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from models.configuration.compiled import Configuration, Rule, Trigger
from models.configuration.templates import Template, TemplateError
from models.engage import planner
from models.engage.composing import Content, certain, compose, compose_fallback, context
from models.engage.user_zone import zone_of
from models.events import MICROS, Channel
from models.profile.signals import Signal, SignalKind
from models.profile.state import CartLine, Consent, Customer, Facts

SAMPLE_USER = "sample"

_SIGNALS: dict[str, SignalKind] = {
    "churn_risk": "churn_risk",
    "entered_segment": "segment_entered",
    "first_purchase": "first_purchase",
    "cart_left": "cart_left",
    "event": "event",
}


class Preview(NamedTuple):
    """What would come out.

    Attributes
    ----------
    rule
        The rule it was rendered for; a made up one where no rule uses the template.
    channel
        The one chosen.
    content
        What it says.
    missing
        What the template names and this user does not have, in Liquid's words; empty where nothing is missing. In
        production it is left out of the text.
    decision
        What the planner would decide now, if the rule were triggered; ``None`` where no rule uses the template.
    untriggered
        Why the rule cannot be triggered for this user as they are now, such as a first purchase that has been made;
        empty where it can.
    again_from
        See :func:`planner.again_from`.
    """

    rule: Rule
    channel: Channel
    content: Content
    missing: str
    decision: planner.Decision | None
    untriggered: str = ""
    again_from: int = 0


def preview(
    configuration: Configuration,
    name: str,
    template: Template,
    user: str,
    customer: Customer,
    now: int,
    channel: Channel | None = None,
) -> Preview:
    """Render a template for a user; the customer is changed as by a real decision, so pass a copy.

    Parameters
    ----------
    configuration
        As written in the file.
    name, template
        The first rule that uses it says category and channels.
    user, customer, now
        For whom, and when.
    channel
        Instead of the one that the planner or else the rule prefers.

    Raises
    ------
    TemplateError
        It cannot be rendered even with what is missing left out.
    """
    used = next((rule for rule in configuration.rules if rule.template == name), None)
    rule = used or _unused(name, template)
    signal = _signal(rule, user, customer, now)
    own_zone = zone_of(customer.facts.traits, configuration.timezone).name
    values = context(rule, signal, user, customer, own_zone, now)
    untriggered, again_from = _untriggered(rule, customer), planner.again_from(rule, customer.ledger)
    decision = None if used is None else planner.plan(configuration, rule, signal, user, customer, now, 0)
    chosen = channel or (rule.channels[0] if decision is None else decision.channel)
    content, missing = compose(template, chosen, rule.category, values, name=name), ""
    try:
        compose(template, chosen, rule.category, values, name=name, strict=True)
    except TemplateError as error:
        missing = str(error)
    return Preview(rule, chosen, content, missing, decision, untriggered, again_from)


class Failure(NamedTuple):
    """A template that cannot be rendered for one of the :func:`users`.

    Attributes
    ----------
    rule, channel
        For what it was rendered.
    user
        Which of them; ``certain`` for a fallback, which has nothing of a user.
    error
        With file and line.
    """

    rule: str
    channel: Channel
    user: str
    error: TemplateError


def users() -> dict[str, Customer]:
    """Three users whom every template has to suit: one with everything, one with nothing, one with half of it.

    The third has what real data has: traits that are null or of another type, a cart without prices, no order.
    """
    half = Customer(
        facts=Facts(
            identified=True,
            traits={"email": "half@example.com", "firstName": None, "lastName": "", "address": None, "phone": 0},
            cart={"sku-1042": CartLine(quantity=1, price=0)},
        )
    )
    return {"full": sample(), "empty": Customer(), "half": half}


def trial(configuration: Configuration, templates: Mapping[str, Template], now: int) -> Iterator[Failure]:
    """Render each template for the :func:`users`, by every channel of its rules, and each fallback with nothing else.

    Parameters
    ----------
    configuration
        As written in the files.
    templates
        By name; also those that no rule uses.
    now
        Milliseconds.
    """
    for name, template in templates.items():
        rules = [rule for rule in configuration.rules if rule.template == name] or [_unused(name, template)]
        for rule in rules:
            for channel in rule.channels:
                yield from _failures(configuration, rule, channel, template, now)


def _failures(
    configuration: Configuration, rule: Rule, channel: Channel, template: Template, now: int
) -> Iterator[Failure]:
    zone = configuration.timezone
    for who, customer in users().items():
        signal = _signal(rule, SAMPLE_USER, customer, now)
        if who == "full":
            signal = msgspec.structs.replace(signal, reasons=("no visit for 12 days",))
        elif rule.when.kind != "cart_left":
            signal = msgspec.structs.replace(signal, items=())
        if who == "half":
            absent = dict.fromkeys(("amount", "name", "url"))
            signal = msgspec.structs.replace(signal, properties={**absent, **(signal.properties or {})})
        values = context(rule, signal, SAMPLE_USER, customer, zone, now)
        try:
            compose(template, channel, rule.category, values, name=rule.template)
        except TemplateError as error:
            yield Failure(rule.name, channel, who, error)
    if template.fallback is not None:
        bare = certain(rule, _signal(rule, SAMPLE_USER, Customer(), now), SAMPLE_USER, zone, now)
        try:
            compose_fallback(template, channel, bare, name=rule.template, strict=True)
        except TemplateError as error:
            yield Failure(rule.name, channel, "certain", error)


def _unused(name: str, template: Template) -> Rule:
    """Make up a rule for a template that none uses."""
    channels: tuple[Channel, ...] = ("email",) if template.subject.strip() else ("sms",)
    return Rule(
        name=name, category="marketing", when=Trigger(kind="event", name=name), channels=channels, template=name
    )


def sample() -> Customer:
    """Somebody with everything that a template may name.

    Examples
    --------
    >>> sample().facts.traits["firstName"]
    'Ada'
    """
    customer = Customer(
        facts=Facts(
            identified=True,
            traits={"email": "ada@example.com", "phone": "+4930901820", "firstName": "Ada", "lastName": "Lovelace"},
            orders=3,
            spent={"EUR": 249_900_000},
            cart={"sku-1042": CartLine(quantity=2, price=19 * MICROS), "sku-7": CartLine(quantity=1, price=5 * MICROS)},
            consent={channel: Consent(granted=True, at=1, source="sample") for channel in ("email", "sms")},
        )
    )
    customer.ledger.segment, customer.ledger.risk = "frequent big spenders", 0.74
    return customer


def _untriggered(rule: Rule, customer: Customer) -> str:
    """Say why what the rule waits for cannot happen to this user as they are; nothing where it can."""
    when, facts, ledger = rule.when, customer.facts, customer.ledger
    match when.kind:
        case "first_purchase" if facts.orders:
            return f"the first purchase was made already ({_number(facts.orders, 'order')})"
        case "cart_left" if not facts.cart:
            return "the cart is empty"
        case "entered_segment" if ledger.segment == when.name:
            return f"the user is in {when.name!r} already, and has to leave it first"
        case "churn_risk" if not facts.identified:
            return "an anonymous user has no churn risk"
        case "churn_risk" if ledger.risk is not None and ledger.risk >= when.threshold:
            return f"the churn risk is {ledger.risk:.2f} already, and has to fall below {when.threshold:g} first"
    return ""


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _signal(rule: Rule, user: str, customer: Customer, now: int) -> Signal:
    """Make up the signal that the rule waits for."""
    when, kind = rule.when, _SIGNALS[rule.when.kind]
    return Signal(
        kind=kind,
        user=user,
        at=now,
        cause="preview",
        name=rule.name if kind == "cart_left" else when.name,
        value=customer.ledger.risk or when.threshold,
        items=tuple(customer.facts.cart),
        properties={name: values[0] for name, values in when.where.items() if values} or None,
    )
