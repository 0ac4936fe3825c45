"""Campaigns and visitors who log in: a person has one turn, whether it comes before the login or after it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from models.configuration.campaigns.parsing import parse_campaigns
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage.campaigns.orders import offset_of
from models.fold.campaign_counts import CampaignCounts, joined_campaign_counts, key_of, read_campaign_counts
from models.levels import NEWEST
from models.log import CampaignOrder, Use
from models.units import DAY, HOUR, MINUTE
from tests.support.campaign_logs import start
from tests.support.event_logs import fold_log
from tests.support.login_shop import happens, logs_in, messages, registered
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"


def campaign(**more: Any) -> dict[str, Any]:
    audience = {"event": "Quote Asked", "times": {"at_least": 1}, "within": "30d"}
    return {"name": "news", "audience": audience, "send": "news", "pace": {"over": "12h"}, **more}


def office(written: dict[str, Any]) -> Persons:
    """Return a log of three partitions in which a visitor and a known user have asked for a quote."""
    template = {"news": Template(subject="News", text="Hello. {{ unsubscribe_url }}")}
    persons = Persons(3, level=NEWEST)
    content = msgspec.Raw(encode(parse({"campaigns": [written]}, template)))
    persons.control(Use(name="configuration", version=1, content=content))
    registered(persons)
    for number, user in enumerate((VISITOR, USER), 1):
        persons.tell(happens(number, user, "custom", MINUTE, name="Quote Asked"))
    return persons


@pytest.mark.parametrize("login", [2 * MINUTE, 3 * HOUR, 6 * HOUR, 9 * HOUR, DAY])
@pytest.mark.parametrize("checked", ["at_start", "at_send", "at_start_and_at_send"])
def test_a_person_gets_one_message_whenever_the_login_is(login: int, checked: str) -> None:
    [compiled] = parse_campaigns([campaign(checked=checked)])
    persons, order = office(campaign(checked=checked)), start(compiled)
    persons.control(order)
    logs_in(persons, login)
    for _ in range(8):
        persons.pass_time(6 * HOUR)

    assert [message.user for message in messages(persons)] == [USER]
    counts = joined_campaign_counts(read_campaign_counts(one.records.get(key_of(order.id))) for one in persons.states)
    moved_before = login < offset_of(compiled, 1, VISITOR)
    assert counts.sent == 1
    assert counts.dropped == ({} if moved_before else {"no_consent": 1})
    assert isinstance(counts, CampaignCounts)
    for log, state in zip(persons.logs, persons.states, strict=True):
        for size, restarts in ((1, 0), (1, 1), (1_000, 0)):
            again, _ = fold_log(log, itertools.repeat(size), restarts)
            assert dict(again.records) == dict(state.records)


@pytest.mark.parametrize("login", [2 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 9 * HOUR, DAY])
@pytest.mark.parametrize("checked", ["at_start", "at_send"])
def test_what_a_visitor_got_before_the_login_is_not_sent_to_the_known_user_again(login: int, checked: str) -> None:
    [compiled] = parse_campaigns([campaign(checked=checked)])
    persons, order = office(campaign(checked=checked)), start(compiled)
    registered(persons, VISITOR, 800)
    persons.control(order)
    logs_in(persons, login)
    for _ in range(8):
        persons.pass_time(6 * HOUR)

    turns = {user: offset_of(compiled, 1, user) for user in (VISITOR, USER)}
    both = all(turn < login for turn in turns.values())  # before the login, it is not known that they are one person
    assert len(messages(persons)) == (2 if both else 1)
    for log, state in zip(persons.logs, persons.states, strict=True):
        for size, restarts in ((1, 0), (1, 1), (1_000, 0)):
            again, _ = fold_log(log, itertools.repeat(size), restarts)
            assert dict(again.records) == dict(state.records)


def test_a_new_person_who_has_the_message_as_a_visitor_does_not_get_it_by_the_next_start() -> None:
    [compiled] = parse_campaigns([campaign(checked="at_send")])
    template = {"news": Template(subject="News", text="Hello. {{ unsubscribe_url }}")}
    persons, first = Persons(3, level=NEWEST), start(compiled)
    content = msgspec.Raw(encode(parse({"campaigns": [campaign(checked="at_send")]}, template)))
    persons.control(Use(name="configuration", version=1, content=content))
    turn = offset_of(compiled, 1, VISITOR)
    old = next(
        name
        for name in (f"old{number}" for number in range(1_000))
        if persons.partition_of(name) == persons.partition_of(USER) and offset_of(compiled, 1, name) > turn + HOUR
    )
    for number, user in enumerate((VISITOR, old)):
        registered(persons, user, 700 + 10 * number)
        persons.tell(happens(number, user, "custom", MINUTE, name="Quote Asked"))
    persons.control(first)
    registered(persons)
    persons.tell(happens(5, USER, "custom", MINUTE, name="Quote Asked"))
    persons.pass_time(turn + 2 * MINUTE)
    assert [message.user for message in messages(persons)] == [VISITOR]
    logs_in(persons, turn + 4 * MINUTE)
    persons.settle()
    second = start(compiled, 2, excludes=(first.id,))
    persons.control(CampaignOrder("cancel", first.id), second)
    for _ in range(8):
        persons.pass_time(6 * HOUR)

    assert [message.user for message in messages(persons)] == [VISITOR, old]
    counts = joined_campaign_counts(read_campaign_counts(one.records.get(key_of(second.id))) for one in persons.states)
    assert (counts.sent, counts.dropped) == (1, {"duplicate": 1})
    for log, state in zip(persons.logs, persons.states, strict=True):
        for size, restarts in ((1, 0), (1, 1), (1_000, 0)):
            again, _ = fold_log(log, itertools.repeat(size), restarts)
            assert dict(again.records) == dict(state.records)
