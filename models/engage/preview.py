"""Preview a template as a user would receive it, without a trigger and without sending anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple

import msgspec

from models.conditions.clauses import Scalar
from models.conditions.knowledge import FIELDS, NUMBERS
from models.conditions.matching import example_of
from models.conditions.properties import is_stated
from models.configuration.compiled import Configuration, Rule, Trigger, send_rules
from models.configuration.journeys.definition import Journey
from models.configuration.marks import set_by
from models.configuration.templates import Template, TemplateError
from models.counting import counted
from models.engage import planner
from models.engage.composing import Content, certain, compose, compose_fallback, context
from models.engage.decisions import Decision
from models.engage.recipient import Recipient, Standing
from models.engage.user_zone import zone_of
from models.events import CHANNELS, MICROS, Channel
from models.profile.ledger import Ledger
from models.profile.signals import Signal, SignalKind
from models.profile.snapshot import Seen
from models.profile.state import CartLine, Consent, Customer, Facts

SAMPLE_USER = "sample"
"""Id of the sample user."""

_SIGNALS: dict[str, SignalKind] = {
    "churn_risk": "churn_risk",
    "entered_segment": "segment_entered",
    "entered_stage": "lifecycle_moved",
    "first_purchase": "first_purchase",
    "cart_left": "cart_left",
    "event": "event",
}


class Preview(NamedTuple):
    """A rendered message, and the planner's decision about it.

    Attributes
    ----------
    rule
        The rule for which it was rendered; a made-up one if no rule uses the template.
    channel
        The chosen channel.
    content
        The rendered content.
    missing
        Liquid's error for the first name in the template without a value for this user; empty if there is none. A
        real message leaves out the missing value.
    decision
        The planner's decision if the rule were triggered now; ``None`` if no rule uses the template.
    untriggered
        The reason why the rule cannot be triggered for this user now, such as an earlier first purchase. It is empty if
        the rule can be triggered.
    again_from
        See :func:`planner.again_from`.
    """

    rule: Rule
    channel: Channel
    content: Content
    missing: str
    decision: Decision | None
    untriggered: str = ""
    again_from: int = 0


def preview(
    configuration: Configuration,
    name: str,
    template: Template,
    recipient: Recipient,
    channel: Channel | None = None,
) -> Preview:
    """Render a template for a user; the user's state is not changed.

    Parameters
    ----------
    configuration
        The configuration, as written in the file.
    name, template
        The template. The first rule that uses it gives category and channels.
    recipient
        The user, and the time.
    channel
        The channel; by default the one that the planner chooses, or the first one of the rule.

    Raises
    ------
    TemplateError
        The template cannot be rendered even if missing values are left out.
    """
    used = next((rule for rule in configuration.rules if rule.template == name), None)
    rule = used or _unused(name, template)
    customer = recipient.customer
    signal = _signal(rule, recipient)
    own_zone = zone_of(customer.facts.traits, configuration.timezone).name
    values = context(rule, signal, recipient, own_zone, configuration.postal_address)
    untriggered, again_from = _untriggered(rule, customer), planner.again_from(rule, customer.ledger)
    decision: Decision | None = None
    if used is not None:
        copied = recipient._replace(customer=_Copy(customer.facts, copy(customer.ledger)))  # a decision changes it
        decision = planner.Planner(configuration).plan(rule, signal, copied)
    chosen = channel or (rule.channels[0] if decision is None else decision.channel)
    content, missing = compose(template, chosen, rule.category, values, name=name), ""
    try:
        compose(template, chosen, rule.category, values, name=name, strict=True)
    except TemplateError as error:
        missing = str(error)
    return Preview(rule, chosen, content, missing, decision, untriggered, again_from)


class _Copy(NamedTuple):
    """A user with a copy of the ledger. A decision of the preview changes this copy, and not the user's state."""

    facts: Seen
    ledger: Ledger


class PreviewFailure(NamedTuple):
    """A template that cannot be rendered for one of the :func:`users`.

    Attributes
    ----------
    rule, channel
        The rule and the channel for which it was rendered.
    user
        Name of the user; ``certain`` for a fallback, because a fallback names no values of a user.
    error
        The error, with file and line.
    """

    rule: str
    channel: Channel
    user: str
    error: TemplateError


def users() -> dict[str, Customer]:
    """Return three users, by name: one with all values, one with none, and one with half of them.

    Every template has to work for each of these users. The third one resembles real data: traits that are null or of
    another type, a cart without prices, no order.
    """
    half = Customer(
        facts=Facts(
            identified=True,
            traits={"email": "half@example.com", "firstName": None, "lastName": "", "address": None, "phone": 0},
            cart={"sku-1042": CartLine(quantity=1, price=0)},
        )
    )
    return {"full": sample(), "empty": Customer(), "half": half}


def trial(configuration: Configuration, templates: Mapping[str, Template], now: int) -> Iterator[PreviewFailure]:
    """Render each template for each of the :func:`users` and each channel of its rules, and yield the failures.

    Each fallback is rendered too, with the values of :func:`~models.engage.composing.certain` only.

    Parameters
    ----------
    configuration
        The configuration, as written in the files.
    templates
        The templates by name, including those that no rule uses.
    now
        The time, milliseconds.
    """
    kept = _kept_by_steps(configuration.journeys)
    marks: dict[str, Scalar] = dict.fromkeys(sorted(set_by(configuration.journeys)), "sample")
    every = (*configuration.rules, *send_rules(configuration.journeys).values())
    for name, template in templates.items():
        rules = [rule for rule in every if rule.template == name] or [_unused(name, template)]
        for rule in rules:
            for channel in rule.channels:
                trial_of_rule = _Trial(rule, channel, kept.get(rule.name), marks)
                yield from _failures(configuration, trial_of_rule, template, now)


class _Trial(NamedTuple):
    """A rule for which a template is rendered; a step of a journey has the names that its run keeps of the entry."""

    rule: Rule
    channel: Channel
    kept: tuple[str, ...] | None
    marks: Mapping[str, Scalar]

    def signal(self, recipient: Recipient) -> Signal:
        """Make a signal that triggers the rule, or that the step makes."""
        if self.kept is None:
            return _signal(self.rule, recipient)
        values = {name: 1 if FIELDS.get(name) == NUMBERS else "sample" for name in self.kept}
        return Signal(
            kind="journey_step",
            user=recipient.user,
            at=recipient.now,
            cause="preview",
            name=self.rule.name,
            properties=values or None,
        )


def _kept_by_steps(journeys: Iterable[Journey]) -> dict[str, tuple[str, ...]]:
    """Return the names of the properties that the runs of each ``send`` step keep, by the name of its rule."""
    return {name: journey.enter.kept for journey in journeys for name in send_rules([journey])}


def _failures(
    configuration: Configuration, trial_of_rule: _Trial, template: Template, now: int
) -> Iterator[PreviewFailure]:
    zone, rule, channel = configuration.timezone, trial_of_rule.rule, trial_of_rule.channel
    for who, customer in users().items():
        customer.ledger.marks = dict(trial_of_rule.marks) if who == "full" else {}
        recipient = Recipient(SAMPLE_USER, customer, now)
        signal = trial_of_rule.signal(recipient)
        if who == "full":
            signal = msgspec.structs.replace(signal, reasons=("no visit for 12 days",))
        elif rule.when.kind != "cart_left":
            signal = msgspec.structs.replace(signal, items=())
        if who == "half":
            absent = dict.fromkeys(("amount", "name", "url"))
            signal = msgspec.structs.replace(signal, properties={**absent, **(signal.properties or {})})
        if who == "empty" and trial_of_rule.kept is not None:  # an event may lack what the run would keep
            signal = msgspec.structs.replace(signal, properties=None)
        values = context(rule, signal, recipient, zone, configuration.postal_address)
        try:
            compose(template, channel, rule.category, values, name=rule.template)
        except TemplateError as error:
            yield PreviewFailure(rule.name, channel, who, error)
    if template.fallback is not None:
        signal = trial_of_rule.signal(Recipient(SAMPLE_USER, Customer(), now))
        bare = certain(rule, signal, SAMPLE_USER, zone, now)
        try:
            compose_fallback(template, channel, bare, name=rule.template, strict=True)
        except TemplateError as error:
            yield PreviewFailure(rule.name, channel, "certain", error)


def _unused(name: str, template: Template) -> Rule:
    """Make a rule for a template that no rule uses."""
    channels: tuple[Channel, ...] = ("email",) if template.subject.strip() else ("sms",)
    return Rule(
        name=name, category="marketing", when=Trigger(kind="event", name=name), channels=channels, template=name
    )


def sample() -> Customer:
    """Make a user with every value that a template may name.

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
            consent={channel: Consent(granted=True, at=1, source="sample") for channel in CHANNELS},
        )
    )
    customer.ledger.segment, customer.ledger.risk = "frequent big spenders", 0.74
    return customer


def _untriggered(rule: Rule, customer: Standing) -> str:
    """Return the reason why this user cannot trigger the rule now; an empty text if the user can."""
    when, facts, ledger = rule.when, customer.facts, customer.ledger
    match when.kind:
        case "first_purchase" if facts.orders:
            return f"the first purchase was made already ({counted(facts.orders, 'order')})"
        case "cart_left" if not facts.cart:
            return "the cart is empty"
        case "entered_segment" if ledger.segment == when.name:
            return f"the user is in {when.name!r} already, and has to leave it first"
        case "entered_stage" if ledger.stage is not None and ledger.stage.name == when.name:
            return f"the user is in the stage {when.name!r} already, and has to leave it first"
        case "churn_risk" if not facts.identified:
            return "an anonymous user has no churn risk"
        case "churn_risk" if ledger.risk is not None and ledger.risk >= when.threshold:
            return f"the churn risk is {ledger.risk:.2f} already, and has to fall below {when.threshold:g} first"
    return ""


def _signal(rule: Rule, recipient: Recipient) -> Signal:
    """Make a signal that triggers the rule."""
    when, kind, customer = rule.when, _SIGNALS[rule.when.kind], recipient.customer
    properties: dict[str, Any] = {name: values[0] for name, values in when.where.items() if values}
    properties |= {name: example_of(comparison) for name, comparison in when.conditions if is_stated(name)}
    return Signal(
        kind=kind,
        user=recipient.user,
        at=recipient.now,
        cause="preview",
        name=rule.name if kind == "cart_left" else when.name,
        value=customer.ledger.risk or when.threshold,
        items=tuple(customer.facts.cart),
        properties=properties or None,
        met=(rule.name,) if when.conditions else (),
    )
