"""Users, rules and signals for tests of the planner."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from models.configuration.categories import Category
from models.configuration.compiled import Cap, Configuration, QuietHours, Rule, Trigger
from models.configuration.templates import Template
from models.engage.decisions import Decision
from models.engage.planner import Planner
from models.engage.recipient import Recipient
from models.events import Channel
from models.places import zones
from models.profile.signals import Signal
from models.profile.state import CartLine, Consent, Customer, Facts
from models.units import DAY, HOUR

NOW = 1_700_000_000_000
"""2023-11-14T22:13:20Z."""

CART_LEFT = Template(
    subject="You left {{ cart.count }} items",
    text="Hello {{ first_name | default: 'there' }}, {{ cart.total }} waits.\n{{ unsubscribe_url }}",
    html="<p>Hello {{ first_name }}</p><a href='{{ unsubscribe_url }}'>no more</a>",
)


def customer(*, consent: tuple[Channel, ...] = ("email", "sms"), **traits: Any) -> Customer:
    """Make a user with a cart, an e-mail address and a phone number who has consented to these channels."""
    given: dict[str, Consent] = {channel: Consent(granted=True, at=1, source="signup") for channel in consent}
    known = {"email": "ada@example.com", "phone": "+4930901820", "firstName": "Ada", **traits}
    return Customer(facts=Facts(identified=True, traits=known, consent=given, cart={"sku1": CartLine(1, 5_000_000)}))


def rule(
    name: str = "cart_left",
    category: Category = "marketing",
    channels: tuple[Channel, ...] = ("email", "sms"),
    *,
    expires_after: int = DAY,
    cooldown: int = 0,
) -> Rule:
    """Make a rule for a cart that was left for an hour."""
    return Rule(
        name=name,
        category=category,
        when=Trigger(kind="cart_left", delay=HOUR),
        channels=channels,
        template="cart_left",
        expires_after=expires_after,
        cooldown=cooldown,
    )


def signal(at: int = NOW, cause: str = "m1", name: str = "cart_left") -> Signal:
    """Make the signal that triggers :func:`rule`."""
    return Signal(kind="cart_left", user="u1", at=at, cause=cause, name=name, items=("sku1",))


def configuration(*rules: Rule, caps: tuple[Cap, ...] = (), quiet: QuietHours | None = None) -> Configuration:
    """Make a configuration with one template."""
    return Configuration(rules=rules, caps=caps, quiet_hours=quiet, templates={"cart_left": CART_LEFT})


def release(using: Configuration, who: Customer, now: int, version: int) -> tuple[Decision, ...]:
    """Decide again about the user's pending messages, under this version of a configuration."""
    return Planner(using, version).release(Recipient("u1", who, now))


def plan(using: Configuration, who: Customer, now: int = NOW, cause: str = "m1", at: int | None = None) -> Decision:
    """Plan the first rule of a configuration, in its version 3, for the signal that :func:`signal` makes."""
    triggered = signal(at=now if at is None else at, cause=cause)
    return Planner(using, 3).plan(using.rules[0], triggered, Recipient("u1", who, now))


def berlin_ms(text: str) -> int:
    """Return the time of a wall clock in Berlin, milliseconds since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zones.zone("Europe/Berlin")).timestamp() * 1000)
