"""Users, rules and signals to plan with."""

from __future__ import annotations

from typing import Any

from models.configuration.compiled import Cap, Category, Configuration, QuietHours, Rule, Trigger
from models.configuration.templates import Template
from models.events import Channel
from models.profile.signals import Signal
from models.profile.state import Consent, Customer, Facts
from models.units import DAY, HOUR

NOW = 1_700_000_000_000
"""2023-11-14T22:13:20Z."""

CART_LEFT = Template(
    subject="You left {{ cart.count }} items",
    text="Hello {{ first_name | default: 'there' }}, {{ cart.total }} waits.\n{{ unsubscribe_url }}",
    html="<p>Hello {{ first_name }}</p><a href='{{ unsubscribe_url }}'>no more</a>",
)


def customer(*, consent: tuple[Channel, ...] = ("email", "sms"), **traits: Any) -> Customer:
    """Somebody with an address and a phone who agreed to these channels."""
    given: dict[str, Consent] = {channel: Consent(granted=True, at=1, source="signup") for channel in consent}
    known = {"email": "ada@example.com", "phone": "+4930901820", "firstName": "Ada", **traits}
    return Customer(facts=Facts(identified=True, traits=known, consent=given))


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
