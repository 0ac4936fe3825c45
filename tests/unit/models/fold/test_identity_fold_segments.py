"""Segments by rule of a visitor who logs in: the user is in them, and the visitor's profile no longer is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.members import key_of, read_members
from models.log import Use
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"
VIEWERS = {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 3}, "within": "3h"}}
ANY = {"name": "any", "when": {"event": "product_view", "within": "3d"}}
SILENT = {"name": "silent", "when": {"absent": "purchase", "for": "2d"}}


def shop(*segments: dict[str, Any]) -> Persons:
    persons = Persons(3)
    content = encode(parse({"segments": list(segments)}, {}))
    persons.control(Use(name="configuration", version=1, content=msgspec.Raw(content)))
    return persons


def view(number: int, user: str, at: int) -> Event:
    return Event(id=f"m{number}", user=user, type="product_view", at=START + at, item="s1")


def login(at: int) -> Event:
    return Event(id="login", user=USER, type="identify", at=START + at, anonymous=VISITOR)


def moves(persons: Persons) -> list[tuple[str, str, str]]:
    found = [json.loads(value) for value in persons.values("signals")]
    return [(one["user"], one["name"], one["kind"].removeprefix("segment_")) for one in found]


def members(persons: Persons, segment: str) -> int:
    return sum(read_members(state.records.get(key_of(segment))).number for state in persons.states)


def test_events_of_both_profiles_count_together() -> None:
    persons = shop(VIEWERS)
    persons.tell(view(1, VISITOR, 0), view(2, VISITOR, 1_000), view(3, USER, 2_000), login(3_000))
    assert moves(persons) == []

    persons.settle()

    assert moves(persons) == [(USER, "viewers", "entered")]
    persons.pass_time(3 * HOUR)
    assert moves(persons) == [(USER, "viewers", "entered"), (USER, "viewers", "left")]


def test_a_person_is_counted_once() -> None:
    persons = shop(ANY)
    persons.tell(view(1, VISITOR, 0), view(2, USER, 1_000))
    assert members(persons, "any") == 2
    persons.tell(login(2_000))
    persons.settle()

    assert members(persons, "any") == 1
    assert persons.user(VISITOR).ledger.memberships is None
    persons.pass_time(4 * DAY)
    assert members(persons, "any") == 0


def test_an_absence_counts_from_the_first_visit_and_the_empty_profile_is_in_no_segment() -> None:
    persons = shop(SILENT)
    persons.tell(view(1, VISITOR, 0))
    persons.pass_time(DAY)
    persons.tell(login(DAY + HOUR))
    persons.settle()
    persons.pass_time(DAY)

    assert moves(persons) == [(USER, "silent", "entered")]
    persons.pass_time(9 * DAY)
    assert members(persons, "silent") == 1


@pytest.mark.parametrize("size", [1, 3, 500])
def test_the_bytes_do_not_depend_on_batches(size: int) -> None:
    persons = shop(VIEWERS, ANY, SILENT)
    persons.tell(view(1, VISITOR, 0), view(2, VISITOR, 1_000), view(3, USER, 2_000), login(3_000))
    persons.settle()
    persons.tell(view(4, VISITOR, 5_000), view(5, USER, 6_000))
    persons.settle()
    persons.pass_time(3 * DAY)
    again = Persons(3)
    again.logs, again.now = persons.logs, persons.now
    again.fold(size)

    for one, other in zip(persons.states, again.states, strict=True):
        assert (one.records, one.memo) == (other.records, other.memo)
    assert sorted(map(repr, persons.written)) == sorted(map(repr, again.written))
