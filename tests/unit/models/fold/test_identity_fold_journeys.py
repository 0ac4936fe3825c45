"""Runs of a visitor who logs in: they go on for the known user, and send to the user's address."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from models.configuration.compiled import encode
from models.configuration.journeys.parsing import parse_journey
from models.configuration.journeys.versions import version_of
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.fold.journey_counts import JourneyCounts, joined_counts, key_of, read_counts
from models.levels import NEWEST
from models.log import JourneyOrder, JourneyOrders, Use
from models.units import HOUR, MINUTE
from tests.support.event_logs import fold_log
from tests.support.login_shop import happens, logs_in, messages, registered
from tests.support.persons import Persons
from tests.support.two_passes import customers

VISITOR, USER = "anonymous:a1", "u1"
JOURNEY: dict[str, Any] = {
    "name": "quote",
    "enter": {"on": {"event": "Quote Asked"}, "keep": ["product"], "again": "always"},
    "exit": [{"on": {"event": "Quote Accepted"}, "as": "accepted"}, {"after": "3d", "as": "late"}],
    "steps": [{"id": "pause", "wait": "1h"}, {"id": "offer", "send": "offer"}],
}


def office() -> Persons:
    """Return a log of three partitions with a journey."""
    template = {"offer": Template(subject="About {{ entry.product }}", text="Hello. {{ unsubscribe_url }}")}
    content = msgspec.Raw(encode(parse({"journeys": [JOURNEY]}, template)))
    persons = Persons(3, level=NEWEST)
    persons.control(Use(name="configuration", version=1, content=content))
    return persons


def asks(persons: Persons, user: str, number: int, at: int, product: str) -> None:
    persons.tell(happens(number, user, "custom", at, name="Quote Asked", properties={"product": product}))


def counts(persons: Persons) -> JourneyCounts:
    return joined_counts(read_counts(state.records.get(key_of("quote"))) for state in persons.states)


def assert_same_in_any_cut(persons: Persons) -> None:
    for log, state in zip(persons.logs, persons.states, strict=True):
        for size in (1, 1_000):
            again, _ = fold_log(log, itertools.repeat(size))
            assert dict(again.records) == dict(state.records)


def test_a_run_that_began_before_the_login_sends_to_the_known_user() -> None:
    persons = office()
    registered(persons)
    asks(persons, VISITOR, 1, MINUTE, "lamp")
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(2 * HOUR)

    assert [(message.user, message.rule, message.subject) for message in messages(persons)] == [
        (USER, "quote/offer", "About lamp")
    ]
    assert counts(persons) == JourneyCounts(entered=1, ended={"completed": 1})
    assert_same_in_any_cut(persons)


def test_an_exit_after_the_login_ends_a_run_that_began_before_it() -> None:
    persons = office()
    registered(persons)
    asks(persons, VISITOR, 1, MINUTE, "lamp")
    logs_in(persons, 5 * MINUTE)
    persons.tell(happens(60, USER, "custom", 10 * MINUTE, name="Quote Accepted"))
    persons.pass_time(2 * HOUR)

    assert messages(persons) == []
    assert counts(persons) == JourneyCounts(entered=1, ended={"accepted": 1})


def test_of_two_runs_of_one_person_the_older_one_goes_on() -> None:
    persons = office()
    registered(persons)
    asks(persons, VISITOR, 1, MINUTE, "lamp")
    asks(persons, USER, 2, 2 * MINUTE, "desk")
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(2 * HOUR)

    assert [message.subject for message in messages(persons)] == ["About lamp"]
    assert counts(persons) == JourneyCounts(entered=2, ended={"completed": 1, "merged": 1})
    assert_same_in_any_cut(persons)


def test_a_mark_of_a_visitor_counts_for_the_known_user_at_the_login() -> None:
    marking = {**JOURNEY, "steps": [{"set": {"asked": True}}, {"id": "pause", "wait": "1h"}]}
    asked = {"name": "asked", "when": {"mark": "asked", "is": True}}
    persons = Persons(3, level=NEWEST)
    content = msgspec.Raw(encode(parse({"journeys": [marking], "segments": [asked]}, {})))
    persons.control(Use(name="configuration", version=1, content=content))
    registered(persons)
    asks(persons, VISITOR, 1, MINUTE, "lamp")
    logs_in(persons, 5 * MINUTE)

    users = customers(persons.states)
    members = {user: one.ledger.memberships is not None for user, one in users.items()}
    assert members == {VISITOR: False, USER: True}
    assert users[USER].ledger.marks == {"asked": True}


def test_a_run_that_was_to_move_moves_before_its_visitor_logs_in() -> None:
    later = {**JOURNEY, "steps": [{"id": "rest", "wait": "90m"}, {"id": "other", "send": "offer"}]}
    later["moved_to"] = {"pause": "rest"}
    template = {"offer": Template(subject="About {{ entry.product }}", text="Hello. {{ unsubscribe_url }}")}
    persons = office()
    registered(persons)
    asks(persons, VISITOR, 1, MINUTE, "lamp")
    content = msgspec.Raw(encode(parse({"journeys": [later]}, template)))
    persons.control(Use(name="configuration", version=2, content=content))
    version = version_of(parse_journey(later, ""))
    persons.control(JourneyOrders((JourneyOrder("quote", "move", version, HOUR),)))
    logs_in(persons, 5 * MINUTE)
    persons.pass_time(4 * HOUR)

    assert [(message.user, message.rule) for message in messages(persons)] == [(USER, "quote/other")]
    assert counts(persons) == JourneyCounts(entered=1, ended={"completed": 1})
    assert_same_in_any_cut(persons)


def test_a_held_run_stays_held_when_its_visitor_logs_in_and_goes_on_after_the_pause() -> None:
    persons = office()
    registered(persons)
    asks(persons, VISITOR, 1, MINUTE, "lamp")
    persons.control(JourneyOrders((JourneyOrder("quote", "pause"),)))
    persons.pass_time(2 * HOUR)
    assert counts(persons).held == 1
    logs_in(persons, 2 * HOUR)
    persons.pass_time(3 * HOUR)
    assert (messages(persons), counts(persons).held) == ([], 1)

    persons.control(JourneyOrders((JourneyOrder("quote", "resume", spread=HOUR),)))
    persons.pass_time(6 * HOUR)

    assert [(message.user, message.rule) for message in messages(persons)] == [(USER, "quote/offer")]
    assert counts(persons) == JourneyCounts(entered=1, ended={"completed": 1})
    assert_same_in_any_cut(persons)
