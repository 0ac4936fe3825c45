"""A visitor's marketing that waits in delivery at the login is decided again for the known user, exactly once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from models.delivery.deliveries import Result
from models.events import Event, OrderLine
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.login_shop import (
    USER,
    VISITOR,
    configured,
    decisions,
    fills,
    happens,
    logs_in,
    messages,
    registered,
    shop,
)
from tests.support.mailroom import Mailroom
from tests.support.persons import Persons

REFUSED = {"name": "cart", "when": {"cart_left": {"for": "1h"}}, "template": "plain", "expires_after": "1d"}


def reminded(**more: Any) -> tuple[Persons, Mailroom]:
    """Return a shop in which a visitor has left a cart, so that a reminder for the visitor waits in delivery."""
    persons = shop(**more)
    mailroom = Mailroom(persons)
    registered(persons)
    registered(persons, VISITOR, 910)
    fills(persons)
    persons.pass_time(2 * HOUR)
    mailroom.work()
    assert mailroom.waiting == 1
    return persons, mailroom


def settle(persons: Persons, mailroom: Mailroom) -> None:
    """Let everything arrive, while no message leaves."""
    for _ in range(3):
        mailroom.work()
        persons.settle()


def replaced(persons: Persons) -> list[tuple[str, str, str]]:
    """Return user, outcome and reason of each decision about a message that was handed over."""
    return [(one.user, one.outcome, one.reason) for one in decisions(persons) if one.replaces]


def outcomes(persons: Persons, user: str = USER) -> list[str]:
    return [one.outcome for one in persons.user(user).ledger.sent]


def test_a_waiting_reminder_is_withdrawn_and_sent_to_the_known_user_once() -> None:
    persons, mailroom = reminded()
    (old,) = messages(persons)
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)

    assert mailroom.statuses[old.id] == "withdrawn"
    assert replaced(persons) == [(USER, "sent", "")]
    (decision,) = [one for one in decisions(persons) if one.replaces]
    assert (decision.replaces, decision.signal.user, decision.signal.kind) == (old.id, USER, "cart_left")
    assert outcomes(persons) == ["handed_over", ""]
    mailroom.work(5)
    assert [(one.user, one.id) for one in mailroom.sent] == [(USER, decision.id)]
    assert persons.counts["identity_records", "message_handed_over"] == 1
    persons.settle()
    assert outcomes(persons) == ["handed_over", "sent"]


def test_who_has_bought_the_cart_is_not_reminded() -> None:
    persons, mailroom = reminded()
    logs_in(persons, 3 * HOUR)
    line = OrderLine("sku1", 1, 5_000_000)
    persons.tell(happens(51, USER, "purchase", 3 * HOUR + 1, amount=5_000_000, lines=(line,)))
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "dropped", "cart_changed")]
    assert mailroom.waiting == 0


def test_a_cart_that_has_changed_is_reminded_of_once_and_later() -> None:
    persons, mailroom = reminded()
    logs_in(persons, 3 * HOUR)
    fills(persons, 3 * HOUR + MINUTE, USER, 2)
    settle(persons, mailroom)
    assert replaced(persons) == [(USER, "dropped", "cart_changed")]

    persons.pass_time(5 * HOUR)
    mailroom.work(5)

    assert [one.user for one in mailroom.sent] == [USER]


def test_a_reminder_that_the_user_got_meanwhile_is_not_repeated() -> None:
    persons, mailroom = reminded()
    fills(persons, 2 * HOUR + MINUTE, USER, 2)
    persons.tell(happens(50, USER, "identify", 3 * HOUR, anonymous=VISITOR))
    persons.settle()
    persons.pass_time(HOUR)
    assert [one.user for one in messages(persons)] == [VISITOR, USER]
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "dropped", "duplicate")]


def test_the_consent_of_the_joint_profile_counts() -> None:
    persons, mailroom = reminded()
    persons.tell(happens(2, USER, "consent", 2 * HOUR + MINUTE, granted=False))
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "dropped", "no_consent")]


def test_the_withdrawn_message_does_not_count_for_caps_and_cooldown_but_others_do() -> None:
    rule = {**REFUSED, "cooldown": "7d"}
    persons, mailroom = reminded(caps=[{"messages": 1, "within": "7d"}], rules=[rule])
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)
    assert replaced(persons) == [(USER, "sent", "")]

    other = {"name": "hello", "when": {"event": "hello"}, "template": "plain", "expires_after": "1d"}
    persons, mailroom = reminded(caps=[{"messages": 1, "within": "7d"}], rules=[rule, other])
    persons.tell(happens(2, USER, "custom", 2 * HOUR + MINUTE, name="hello"))
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)
    assert replaced(persons) == [(USER, "dropped", "capped")]


def test_in_quiet_hours_it_waits_for_their_end() -> None:
    persons, mailroom = reminded(quiet_hours={"from": "18:00", "to": "20:00"})
    logs_in(persons, 18 * HOUR + MINUTE - START % DAY)
    settle(persons, mailroom)
    assert replaced(persons) == [(USER, "deferred", "quiet_hours")]

    persons.pass_time(5 * HOUR)
    mailroom.work(5)

    assert [one.user for one in mailroom.sent] == [USER]


def test_a_message_whose_time_has_passed_is_not_sent() -> None:
    persons, mailroom = reminded()
    persons.tell(happens(50, USER, "identify", 20 * HOUR, anonymous=VISITOR))
    persons.settle()
    mailroom.work()
    persons.tell(happens(51, USER, "click", 30 * HOUR, item="sku1"))
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "dropped", "expired")]


def test_a_message_that_was_sent_before_the_login_is_not_sent_again() -> None:
    persons, mailroom = reminded()
    mailroom.work(5)
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)

    assert replaced(persons) == []
    assert [one.user for one in mailroom.sent] == [VISITOR]
    assert outcomes(persons) == ["sent"]


def test_the_user_who_took_over_the_message_decides_even_if_the_visitor_has_another_owner_by_then() -> None:
    persons, mailroom = reminded()
    logs_in(persons, 3 * HOUR)
    persons.tell(happens(60, "u2", "identify", 3 * HOUR + MINUTE, anonymous=VISITOR))
    persons.settle()
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "sent", "")]


def test_transactional_messages_stay_with_the_visitor_and_are_sent() -> None:
    rule = {"name": "receipt", "category": "transactional", "when": {"event": "hello"}, "template": "plain"}
    persons = shop(rules=[{**rule, "expires_after": "1d"}])
    mailroom = Mailroom(persons)
    registered(persons, VISITOR, 910)
    persons.tell(happens(1, VISITOR, "custom", MINUTE, name="hello"))
    mailroom.work()
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)
    mailroom.work(5)

    assert replaced(persons) == []
    assert [one.user for one in mailroom.sent] == [VISITOR]


def test_a_rule_that_was_deleted_sends_nothing() -> None:
    persons, mailroom = reminded()
    logs_in(persons, 3 * HOUR)
    persons.control(configured(2, rules=[]))
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "dropped", "rule_gone")]


def test_a_record_that_the_router_repeats_is_decided_once() -> None:
    persons, mailroom = reminded(repeats=True)
    logs_in(persons, 3 * HOUR)
    settle(persons, mailroom)

    assert replaced(persons) == [(USER, "sent", "")]


@pytest.mark.parametrize("size", [1, 2, 7, 500])
def test_a_log_cut_into_any_batches_decides_the_same(size: int) -> None:
    persons, mailroom = reminded()
    persons.tell(
        happens(50, USER, "identify", 3 * HOUR, anonymous=VISITOR),
        happens(51, USER, "click", 3 * HOUR + 1, item="sku2"),
    )
    settle(persons, mailroom)
    fills(persons, 3 * HOUR + MINUTE, USER, 2)
    persons.pass_time(3 * HOUR)
    again = Persons(3)
    again.logs, again.now = persons.logs, persons.now
    again.fold(size)

    for one, other in zip(persons.states, again.states, strict=True):
        assert (one.records, one.memo) == (other.records, other.memo)
    assert sorted(map(repr, persons.written)) == sorted(map(repr, again.written))
    assert replaced(again) == [(USER, "sent", "")]


@pytest.mark.parametrize("seed", range(40))
def test_wherever_processes_die_each_reminder_is_sent_to_one_of_the_two_ids(seed: int) -> None:
    rng = random.Random(seed)
    rule = {"name": "hello", "when": {"event": "hello"}, "template": "plain", "expires_after": "1d"}
    persons = shop(rules=[rule])
    mailroom = Mailroom(persons)
    registered(persons)
    registered(persons, VISITOR, 910)
    told: list[Event] = [
        happens(number, rng.choice((VISITOR, VISITOR, USER)), "custom", number * MINUTE, name="hello")
        for number in range(1, 9)
    ]
    told.insert(rng.randrange(1, 9), happens(50, USER, "identify", rng.randrange(9) * MINUTE, anonymous=VISITOR))

    def answer(_: object) -> Result:
        return rng.choice((Result("delivered"), Result("delivered"), Result("failed", "451 later")))

    for one in told:
        persons.tell(one)
        for _ in range(rng.randrange(4)):
            step = rng.randrange(4)
            if step == 0:
                persons.route()
            elif step == 1:
                mailroom.work(rng.randrange(3), answer)
            elif step == 2:
                persons.restart()
            else:
                mailroom.restart()
    for _ in range(4):
        persons.settle()
        mailroom.work(9)
        persons.now += 10 * MINUTE

    assert len(mailroom.sent) == 8
    handed = {one.replaces for one in decisions(persons) if one.replaces}
    assert handed.isdisjoint(one.id for one in mailroom.sent)
    assert sum(one.outcome == "handed_over" for one in persons.user(USER).ledger.sent) == len(handed)
