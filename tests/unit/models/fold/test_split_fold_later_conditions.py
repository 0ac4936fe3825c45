"""A link is split after new conditions have read the log: they remember of both profiles what they would without it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.log import Tick, Use
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.histories import bring_history
from tests.support.persons import Persons
from tests.support.split_worlds import PAIR, USERS, VISITORS, World, counted, followed, use
from tests.support.splitting import split

OTHER = "anonymous:a2"


def later_world(seed: int, pairs: list[tuple[str, str]]) -> World:
    """Return a world without conditions."""
    return World(seed, pairs, lambda world: world.control(Tick(at=0)))


def bring(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply segments and a lifecycle, which read the log."""
    world.settle()
    world.do(lambda persons: asyncio.run(bring_history(persons, use(), monkeypatch)))
    world.settle()


@pytest.mark.parametrize("seed", [2, 5, 9, 14, 17, 20, 23, 31, 36, 44])
def test_what_later_conditions_remember_of_the_users_other_visitors_stays(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = later_world(seed, [PAIR, PAIR, ("u1", OTHER), ("u1", OTHER), ("u2", "anonymous:a3")])
    world.happen(25)
    world.log_in(PAIR)
    world.happen(25)
    bring(world, monkeypatch)
    world.happen(10)
    world.settle()
    assert world.split(PAIR)
    world.settle()
    world.happen(10)
    world.settle()
    world.pass_days(3)

    other = world.without()
    for user in (*USERS, *VISITORS):
        assert followed(world.real.user(user)) == followed(other.user(user)), user
    assert counted(world.real) == counted(other)


@pytest.mark.parametrize("seed", [1, 6, 11, 13, 14, 22])
def test_a_visitor_who_was_split_from_another_user_before_the_conditions_came(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = later_world(seed, [(user, visitor) for user in USERS for visitor in VISITORS[:2]])
    world.happen(25, links=False)
    world.log_in(("u2", PAIR[1]))
    world.settle()
    world.happen(10, links=False)
    world.settle()
    assert world.split(("u2", PAIR[1]))
    world.settle()
    world.log_in(PAIR)
    world.happen(15)
    bring(world, monkeypatch)
    world.happen(10)
    world.settle()
    assert world.split(PAIR)
    world.settle()
    world.happen(10)
    world.settle()
    world.pass_days(3)

    other = world.without()
    for user in PAIR:
        assert remembered(world.real, user) == remembered(other, user)


def remembered(persons: Persons, user: str) -> tuple[dict[int, bytes], int, list[int], dict[str, int]]:
    """Return what conditions remember of a user, since when, the segments of the user, and the numbers of events."""
    facts, members = persons.user(user).facts, persons.user(user).ledger.memberships
    entries = {} if facts.clauses is None else facts.clauses.entries
    return dict(entries), facts.known_since, sorted({} if members is None else members.since), facts.events


def happened(number: int, user: str, type_: str, **more: str) -> Event:
    return msgspec.convert({"id": f"m{number}", "user": user, "type": type_, "at": START + number * HOUR} | more, Event)


async def test_the_clauses_of_a_journey_get_the_history_of_the_split_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    journey = {
        "name": "help",
        "enter": {"on": {"event": "rating"}, "if": {"event": "click", "times": {"at_least": 3}, "within": "30d"}},
        "exit": [{"after": "3d", "as": "late"}],
        "steps": [{"id": "pause", "wait": "1h"}, {"id": "offer", "send": "offer"}],
    }
    template = {"offer": Template(subject="Help", text="Hello. {{ unsubscribe_url }}")}
    wanted = Use("configuration", 1, msgspec.Raw(encode(parse({"journeys": [journey]}, template))))
    persons, other = Persons(3), Persons(3)
    for number, user in enumerate((PAIR[1], "u1", OTHER, OTHER)):
        for log in (persons, other):
            log.tell(happened(number, user, "click", item="sku1"))
    persons.tell(happened(4, "u1", "identify", anonymous=PAIR[1]), happened(5, "u1", "identify", anonymous=OTHER))
    other.tell(happened(4, "u1", "identify"), happened(5, "u1", "identify", anonymous=OTHER))
    for log in (persons, other):
        log.settle()
        await bring_history(log, wanted, monkeypatch)
        log.settle()
    split(persons, *PAIR)
    for log in (persons, other):
        log.settle()
        log.pass_time(2 * DAY)

    for user in PAIR:
        assert remembered(persons, user) == remembered(other, user)
    assert remembered(persons, "u1")[0]
