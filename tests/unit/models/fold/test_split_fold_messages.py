"""Messages when a link is split: those that were sent stay, and nothing is sent because of the split."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.conditions.program import segment_key
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.messages import Message, decode_message
from models.delivery.notices import Withdrawal, decode_notice, is_notice
from models.events import Event
from models.log import Use
from models.units import HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.persons import Persons
from tests.support.splitting import split

VISITOR, USER = "anonymous:a1", "u1"
VIEWS = {"event": "product_view", "within": "9d"}


def shop(**more: Any) -> Persons:
    """Return a log in which a rule reminds of carts that were left for an hour, and another one writes to members."""
    content = {
        "rules": [
            {"name": "cart", "when": {"cart_left": {"for": "1h"}}, "template": "plain", "expires_after": "1d"},
            {"name": "calm", "when": {"entered_segment": "calm"}, "template": "plain", "expires_after": "1d"},
        ],
        "segments": [
            {"name": "viewers", "when": VIEWS | {"times": {"at_least": 2}}},
            {"name": "calm", "when": {"all": [VIEWS | {"times": {"at_most": 1}}, {"trait": "email", "set": True}]}},
        ],
        "lifecycle": {"defaults": "purchases"},
        "timezone": "UTC",
        **more,
    }
    said = Template(subject="Your cart", text="Come back. {{ unsubscribe_url }}")
    persons = Persons(3)
    persons.control(Use("configuration", 1, msgspec.Raw(encode(parse(content, {"plain": said})))))
    return persons


def happens(number: int, user: str, type_: Any, at: int, **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=START + at, **more)


def registered(persons: Persons, user: str, number: int) -> None:
    """Let a user state an address and consent."""
    persons.tell(
        happens(number, user, "identify", 0, traits={"email": f"{number}@example.org"}),
        happens(number + 1, user, "consent", 0, granted=True),
    )


def logs_in(persons: Persons, at: int, number: int = 50) -> None:
    persons.tell(happens(number, USER, "identify", at, anonymous=VISITOR))
    persons.settle()


def members(persons: Persons, user: str) -> list[str]:
    found = persons.user(user).ledger.memberships
    return [name for name in ("viewers", "calm") if found is not None and segment_key(name) in found.since]


def messages(persons: Persons) -> list[Message]:
    return [decode_message(value) for value in persons.values("messages.email") if not is_notice(value)]


def withdrawals(persons: Persons) -> list[tuple[str, str]]:
    found = [decode_notice(value) for value in persons.values("messages.email") if is_notice(value)]
    return [(one.user, one.reason) for one in found if isinstance(one, Withdrawal)]


def test_messages_stay_with_the_user_who_received_them() -> None:
    persons = shop()
    registered(persons, USER, 900)
    persons.tell(happens(1, VISITOR, "cart_add", MINUTE, item="sku1", amount=5_000_000))
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(2 * HOUR)
    assert [one.user for one in messages(persons)] == [USER]
    before = persons.user(USER).ledger
    split(persons, USER, VISITOR)
    persons.pass_time(3 * HOUR)

    after = persons.user(USER).ledger
    assert (after.sent, after.fired) == (before.sent, before.fired)
    assert persons.user(USER).facts.cart == {}
    assert persons.user(VISITOR).ledger.sent == []
    assert len(messages(persons)) == 1


def test_the_visitor_gets_back_the_messages_that_its_profile_had_received_itself() -> None:
    persons = shop(caps=[{"messages": 1, "within": "7d"}])
    registered(persons, USER, 900)
    registered(persons, VISITOR, 910)
    persons.tell(happens(1, VISITOR, "cart_add", MINUTE, item="sku1", amount=5_000_000))
    persons.pass_time(2 * HOUR)
    sent = persons.user(VISITOR).ledger.sent
    assert [one.rule for one in sent] == ["cart"]
    logs_in(persons, 4 * HOUR)
    split(persons, USER, VISITOR)

    assert persons.user(VISITOR).ledger.sent == persons.user(USER).ledger.sent == sent
    persons.tell(happens(2, VISITOR, "cart_add", 5 * HOUR, item="sku2", amount=5_000_000))
    persons.pass_time(2 * HOUR)
    assert [one.reason for one in persons.user(VISITOR).ledger.withheld][-1:] == ["capped"]
    assert len(messages(persons)) == 1


def test_a_reminder_that_waits_for_the_morning_is_dropped_if_the_cart_was_the_visitors() -> None:
    persons = shop(quiet_hours={"from": "00:00", "to": "08:00"})
    registered(persons, USER, 900)
    persons.tell(happens(1, VISITOR, "cart_add", MINUTE, item="sku1", amount=5_000_000))
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(2 * HOUR)
    assert len(persons.user(USER).ledger.pending) == 1
    split(persons, USER, VISITOR)
    persons.pass_time(9 * HOUR)

    assert persons.user(USER).ledger.pending == []
    assert messages(persons) == []


def test_a_reminder_of_the_users_own_cart_still_comes() -> None:
    persons = shop(quiet_hours={"from": "00:00", "to": "08:00"})
    registered(persons, USER, 900)
    persons.tell(happens(1, USER, "cart_add", MINUTE, item="sku1", amount=5_000_000))
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(2 * HOUR)
    split(persons, USER, VISITOR)
    persons.pass_time(9 * HOUR)

    assert [(one.user, one.rule) for one in messages(persons)] == [(USER, "cart")]


def test_the_visitors_cart_is_reminded_of_if_its_time_comes_after_the_split() -> None:
    persons = shop()
    registered(persons, USER, 900)
    registered(persons, VISITOR, 910)
    persons.tell(happens(1, VISITOR, "cart_add", MINUTE, item="sku1", amount=5_000_000))
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(20 * MINUTE)
    split(persons, USER, VISITOR)
    persons.pass_time(3 * HOUR)

    assert [(one.user, one.rule) for one in messages(persons)] == [(VISITOR, "cart")]


def test_segments_and_stages_change_in_silence() -> None:
    persons = shop()
    persons.tell(*(happens(number, VISITOR, "product_view", number, item="sku1") for number in range(3)))
    registered(persons, USER, 900)
    logs_in(persons, 5 * MINUTE)
    assert members(persons, USER) == ["viewers"]
    signals, written = len(persons.values("signals")), len(messages(persons))
    split(persons, USER, VISITOR)

    assert (members(persons, USER), members(persons, VISITOR)) == (["calm"], ["viewers"])
    persons.pass_time(HOUR)
    assert (len(persons.values("signals")), len(messages(persons))) == (signals, written)


@pytest.mark.parametrize("is_own", [False, True])
def test_marketing_in_delivery_is_stopped_if_the_consent_was_the_visitors(is_own: bool) -> None:
    persons = shop()
    persons.tell(happens(1, USER, "identify", 0, traits={"email": "ada@example.org"}))
    persons.tell(happens(2, USER if is_own else VISITOR, "consent", 1, granted=True))
    logs_in(persons, 5 * MINUTE)
    assert persons.user(USER).facts.consent["email"].granted
    split(persons, USER, VISITOR)

    assert ("email" in persons.user(USER).facts.consent) is is_own
    assert withdrawals(persons) == ([] if is_own else [(USER, "a link to a visitor was split")])


def test_a_withdrawal_that_the_visitor_made_goes_back_with_the_visitor() -> None:
    persons = shop()
    registered(persons, USER, 900)
    persons.tell(happens(1, VISITOR, "consent", 1, granted=False))
    logs_in(persons, 5 * MINUTE)
    assert not persons.user(USER).facts.consent["email"].granted
    split(persons, USER, VISITOR)

    assert persons.user(USER).facts.consent["email"].granted
    assert not persons.user(VISITOR).facts.consent["email"].granted


def test_an_outcome_of_a_message_that_the_visitor_had_received_is_recorded_there_after_the_split() -> None:
    persons = shop()
    registered(persons, VISITOR, 910)
    persons.tell(happens(1, VISITOR, "cart_add", MINUTE, item="sku1", amount=5_000_000))
    persons.pass_time(2 * HOUR)
    (message,) = messages(persons)
    logs_in(persons, 3 * HOUR)
    split(persons, USER, VISITOR)
    persons.tell(happens(60, VISITOR, "message_delivered", 4 * HOUR, message=message.id, channel="email"))
    persons.settle()

    assert [one.outcome for one in persons.user(VISITOR).ledger.sent] == ["delivered"]
