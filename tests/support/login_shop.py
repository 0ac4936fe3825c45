"""A shop in memory in which a visitor logs in, with a rule that reminds of carts, for tests of messages."""

from __future__ import annotations

from typing import Any

import msgspec

from models.configuration.compiled import Configuration, encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.messages import Message, decode_message
from models.delivery.notices import Withdrawal, decode_notice, is_notice
from models.engage.decisions import Decision
from models.events import Event
from models.levels import NEWEST
from models.log import Use
from models.units import MINUTE
from tests.support.event_logs import START
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"
EMAIL = {"email": "ada@example.org"}

_decision = msgspec.json.Decoder(Decision)


def configuration(**more: Any) -> Configuration:
    """Return a configuration: by default, with one rule that reminds of carts that were left for an hour."""
    written = {
        "rules": [{"name": "cart", "when": {"cart_left": {"for": "1h"}}, "template": "plain", "expires_after": "1d"}],
        "timezone": "UTC",
        **more,
    }
    text = "Come back. {{ unsubscribe_url }}"
    return parse(written, {"plain": Template(subject="Your cart", text=text, fallback="Subject: Hello\n\nHello")})


def configured(version: int = 1, **more: Any) -> Use:
    """Return the record that puts :func:`configuration` into use."""
    return Use(name="configuration", version=version, content=msgspec.Raw(encode(configuration(**more))))


def shop(*, repeats: bool = False, **more: Any) -> Persons:
    """Return a log of three partitions, with the rules of :func:`configuration` in use."""
    persons = Persons(3, level=NEWEST, repeats=repeats)
    assert persons.partition_of(VISITOR) != persons.partition_of(USER)
    persons.control(configured(**more))
    return persons


def happens(number: int, user: str, type_: Any, at: int, **more: Any) -> Event:
    """Make an event at a time after the start, milliseconds."""
    return Event(id=f"m{number}", user=user, type=type_, at=START + at, **more)


def registered(persons: Persons, user: str = USER, number: int = 900) -> None:
    """Let a user state an address and consent."""
    persons.tell(
        happens(number, user, "identify", 0, traits=EMAIL),
        happens(number + 1, user, "consent", 0, granted=True),
    )


def messages(persons: Persons) -> list[Message]:
    """Return the e-mails that the folds have written."""
    return [decode_message(value) for value in persons.values("messages.email") if not is_notice(value)]


def decisions(persons: Persons) -> list[Decision]:
    """Return the decisions that the folds have written."""
    return [_decision.decode(value) for value in persons.values("decisions")]


def withdrawals(persons: Persons) -> list[str]:
    """Return the users whose e-mails the folds have withdrawn in delivery."""
    found = [decode_notice(value) for value in persons.values("messages.email") if is_notice(value)]
    return [one.user for one in found if isinstance(one, Withdrawal)]


def fills(persons: Persons, at: int = MINUTE, user: str = VISITOR, number: int = 1) -> None:
    """Let a user put something into the cart."""
    persons.tell(happens(number, user, "cart_add", at, item="sku1", amount=5_000_000))


def logs_in(persons: Persons, at: int, number: int = 50) -> None:
    """Let the visitor log in, and let everything that follows arrive."""
    persons.tell(happens(number, USER, "identify", at, anonymous=VISITOR))
    persons.settle()
