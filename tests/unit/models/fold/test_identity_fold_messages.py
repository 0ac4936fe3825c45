"""Messages of a visitor who logs in: reminders, caps, consent, and what waits."""

from __future__ import annotations

from typing import Any

import msgspec

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.messages import Message, decode_message
from models.delivery.notices import Withdrawal, decode_notice, is_notice
from models.events import Event, OrderLine
from models.levels import NEWEST
from models.log import Use
from models.units import HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"
EMAIL = {"email": "ada@example.org"}


def shop(**more: Any) -> Persons:
    """Return a log of three partitions in which a rule reminds of carts that were left for an hour."""
    rules = {
        "rules": [{"name": "cart", "when": {"cart_left": {"for": "1h"}}, "template": "plain", "expires_after": "1d"}],
        "timezone": "UTC",
        **more,
    }
    said = Template(subject="Your cart", text="Come back. {{ unsubscribe_url }}")
    content = msgspec.Raw(encode(parse(rules, {"plain": said})))
    persons = Persons(3, level=NEWEST)
    assert persons.partition_of(VISITOR) != persons.partition_of(USER)
    persons.control(Use(name="configuration", version=1, content=content))
    return persons


def happens(number: int, user: str, type_: Any, at: int, **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=START + at, **more)


def registered(persons: Persons, user: str = USER, number: int = 900) -> None:
    """Let a user state an address and consent."""
    persons.tell(
        happens(number, user, "identify", 0, traits=EMAIL),
        happens(number + 1, user, "consent", 0, granted=True),
    )


def messages(persons: Persons) -> list[Message]:
    return [decode_message(value) for value in persons.values("messages.email") if not is_notice(value)]


def withdrawals(persons: Persons) -> list[str]:
    found = [decode_notice(value) for value in persons.values("messages.email") if is_notice(value)]
    return [one.user for one in found if isinstance(one, Withdrawal)]


def fills(persons: Persons, at: int = MINUTE, user: str = VISITOR, number: int = 1) -> None:
    persons.tell(happens(number, user, "cart_add", at, item="sku1", amount=5_000_000))


def logs_in(persons: Persons, at: int, number: int = 50) -> None:
    persons.tell(happens(number, USER, "identify", at, anonymous=VISITOR))
    persons.settle()


def test_a_cart_that_was_filled_before_the_login_gets_its_reminder_after_the_login() -> None:
    persons = shop()
    registered(persons)
    fills(persons)
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(55 * MINUTE)
    assert messages(persons) == []

    persons.pass_time(2 * MINUTE)

    assert [(one.user, one.rule, one.to) for one in messages(persons)] == [(USER, "cart", "ada@example.org")]
    persons.pass_time(5 * HOUR)
    assert len(messages(persons)) == 1


def test_a_visitor_whose_time_has_passed_without_an_address_is_reminded_some_time_after_the_login() -> None:
    persons = shop()
    registered(persons)
    fills(persons)
    persons.pass_time(3 * HOUR)
    logs_in(persons, 4 * HOUR)
    assert messages(persons) == []

    persons.pass_time(59 * MINUTE)
    assert messages(persons) == []
    persons.pass_time(2 * MINUTE)

    assert [one.user for one in messages(persons)] == [USER]


def test_a_visitor_who_was_reminded_is_not_reminded_again_after_the_login() -> None:
    persons = shop()
    registered(persons)
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    assert [one.user for one in messages(persons)] == [VISITOR]
    logs_in(persons, 4 * HOUR)
    persons.pass_time(9 * HOUR)

    assert [one.user for one in messages(persons)] == [VISITOR]
    assert [one.rule for one in persons.user(USER).ledger.sent] == ["cart"]


def test_who_buys_right_after_the_login_gets_no_reminder() -> None:
    for is_merged_before in (False, True):
        persons = shop()
        registered(persons)
        fills(persons)
        persons.tell(happens(50, USER, "identify", 5 * MINUTE, anonymous=VISITOR))
        if is_merged_before:
            persons.settle()
        line = OrderLine("sku1", 1, 5_000_000)
        persons.tell(happens(51, USER, "purchase", 6 * MINUTE, amount=5_000_000, lines=(line,)))
        persons.settle()
        persons.pass_time(9 * HOUR)

        assert messages(persons) == []


def test_caps_add_up_because_the_messages_of_both_profiles_count() -> None:
    persons = shop(caps=[{"messages": 1, "within": "7d"}])
    registered(persons)
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    logs_in(persons, 4 * HOUR)
    fills(persons, 5 * HOUR, USER, 2)
    persons.pass_time(9 * HOUR)

    assert [one.user for one in messages(persons)] == [VISITOR]
    assert [one.reason for one in persons.user(USER).ledger.withheld] == ["capped"]


def test_a_message_that_waits_for_the_morning_goes_to_the_user_and_only_once() -> None:
    persons = shop(quiet_hours={"from": "00:00", "to": "08:00"})
    registered(persons)
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    assert len(persons.user(VISITOR).ledger.pending) == 1
    logs_in(persons, 3 * HOUR)
    assert len(persons.user(USER).ledger.pending) == 1
    assert persons.user(VISITOR).ledger.pending == []
    persons.pass_time(9 * HOUR)

    assert [one.user for one in messages(persons)] == [USER]


def test_a_reminder_that_waits_is_dropped_when_the_user_has_bought_the_cart() -> None:
    persons = shop(quiet_hours={"from": "00:00", "to": "08:00"})
    registered(persons)
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    persons.tell(
        happens(50, USER, "identify", 3 * HOUR, anonymous=VISITOR),
        happens(51, USER, "purchase", 3 * HOUR + 1, amount=5_000_000),
    )
    persons.settle()
    persons.pass_time(9 * HOUR)

    assert messages(persons) == []
    assert persons.counts["identity_records", "pending_dropped"] == 1


def test_the_withdrawal_of_a_visitor_holds_for_the_user_and_stops_what_waits_in_delivery() -> None:
    persons = shop()
    registered(persons)
    fills(persons, user=USER)
    persons.pass_time(2 * HOUR)
    assert [one.user for one in messages(persons)] == [USER]
    persons.tell(happens(2, VISITOR, "consent", 3 * HOUR, granted=False))
    logs_in(persons, 4 * HOUR)
    fills(persons, 5 * HOUR, USER, 3)
    persons.pass_time(9 * HOUR)

    assert [one.user for one in messages(persons)] == [USER]
    assert withdrawals(persons) == [USER]
    assert not persons.user(USER).facts.consent["email"].granted


def test_marketing_of_a_visitor_that_waits_in_delivery_is_stopped_at_the_login() -> None:
    persons = shop()
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    logs_in(persons, 4 * HOUR)

    assert withdrawals(persons) == [VISITOR]


def test_the_outcome_of_a_visitors_message_reaches_the_user() -> None:
    persons = shop()
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    (message,) = messages(persons)
    logs_in(persons, 4 * HOUR)
    persons.tell(happens(60, VISITOR, "message_delivered", 4 * HOUR + 1, message=message.id, channel="email"))
    persons.settle()

    assert [one.outcome for one in persons.user(USER).ledger.sent] == ["delivered"]
