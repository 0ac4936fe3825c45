"""The numbers of events that came through a link are those that count for the user."""

from __future__ import annotations

from typing import Any

import pytest

from models.events import Event
from models.fold.identity_view import describe_identity
from models.units import HOUR
from tests.support.event_logs import START
from tests.support.persons import Persons
from tests.support.splitting import split

VISITOR, USER, OTHER = "anonymous:a1", "u1", "u2"


def click(name: str, user: str, at: int) -> Event:
    return Event(id=name, user=user, type="click", at=START + at, item="sku1")


def logs_in(name: str, user: str, at: int) -> Event:
    return Event(id=name, user=user, type="identify", at=START + at, anonymous=VISITOR)


def shop(*events: Event, repeats: bool = False) -> Persons:
    """Return a log in which each event arrives when nothing is on its way."""
    persons = Persons(3, repeats=repeats)
    tell(persons, *events)
    return persons


def tell(persons: Persons, *events: Event) -> None:
    for event in events:
        persons.tell(event)
        persons.settle()


def counts(persons: Persons, user: str) -> tuple[int, int]:
    """Return how many events of the visitor were merged, and forwarded, as a user's profile shows it."""
    (link,) = described(persons, user)["links"]
    return link["events"], link["forwarded"]


def forwarded(persons: Persons) -> tuple[str, int]:
    """Return the user of the visitor, and how many events were forwarded to this user."""
    owner = described(persons, VISITOR)["owner"]
    return owner["user"], owner["forwarded"]


def described(persons: Persons, user: str) -> dict[str, Any]:
    return describe_identity(persons.user(user))


@pytest.mark.parametrize("repeats", [False, True])
def test_an_event_that_the_user_has_already_counted_is_not_counted_as_forwarded(repeats: bool) -> None:
    persons = shop(click("m1", VISITOR, 0), logs_in("m2", USER, 1), repeats=repeats)
    tell(persons, click("m3", USER, 2), click("m3", VISITOR, 3), click("m4", VISITOR, 4))

    assert counts(persons, USER) == (1, 1)
    assert persons.user(USER).facts.events == {"click": 3, "identify": 1}
    assert forwarded(persons) == (USER, 2)


def test_each_user_of_a_visitor_has_a_number_of_its_own() -> None:
    persons = shop(click("m1", VISITOR, 0), logs_in("m2", USER, 1), click("m3", VISITOR, 2), click("m4", VISITOR, 3))
    tell(persons, logs_in("m5", OTHER, 4), click("m6", VISITOR, 5))

    assert (counts(persons, USER), counts(persons, OTHER)) == ((1, 2), (0, 1))
    assert forwarded(persons) == (OTHER, 1)
    tell(persons, logs_in("m7", USER, 6), click("m8", VISITOR, 7))
    assert (counts(persons, USER), counts(persons, OTHER)) == ((1, 3), (0, 1))
    assert forwarded(persons) == (USER, 3)


def test_after_a_split_a_new_login_counts_from_the_beginning() -> None:
    persons = shop(click("m1", VISITOR, 0), logs_in("m2", USER, 1), click("m3", VISITOR, 2), click("m4", VISITOR, 3))
    split(persons, USER, VISITOR)
    tell(persons, logs_in("m5", USER, HOUR), click("m6", VISITOR, HOUR + 1))

    assert counts(persons, USER) == (3, 1)
    assert forwarded(persons) == (USER, 1)
    assert persons.user(USER).facts.events == {"click": 4, "identify": 2}
