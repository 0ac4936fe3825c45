"""Messages of a visitor who logs in: reminders, caps, consent, and what waits."""

from __future__ import annotations

from models.events import OrderLine
from models.units import HOUR, MINUTE
from tests.support.login_shop import (
    EMAIL,
    USER,
    VISITOR,
    fills,
    happens,
    logs_in,
    messages,
    registered,
    shop,
    withdrawals,
)


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


def test_what_a_visitor_without_an_address_has_asked_for_is_mailed_at_the_login() -> None:
    persons = shop(consent={"confirm": ["email"]})
    persons.tell(happens(1, USER, "identify", 0, traits=EMAIL))
    persons.tell(happens(2, VISITOR, "consent", MINUTE, granted=True, channel="email"))
    persons.settle()
    assert messages(persons) == []

    logs_in(persons, 5 * MINUTE)

    assert [(one.user, one.to, one.confirms) for one in messages(persons)] == [(USER, "ada@example.org", "marketing")]
    (pending,) = persons.user(USER).facts.pending.values()
    assert (pending.asked, pending.is_due) == (1, False)
