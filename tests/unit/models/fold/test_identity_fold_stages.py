"""The lifecycle of a visitor who logs in: a person is counted in one stage."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.stages import STAGES_KEY, read_stages
from models.log import Use
from models.units import DAY
from tests.support.event_logs import START
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"
LIFECYCLE = {"defaults": "purchases"}
SEGMENT = {"name": "any", "when": {"event": "product_view", "within": "3d"}}


def use(version: int, **sections: Any) -> Use:
    return Use(name="configuration", version=version, content=msgspec.Raw(encode(parse(sections, {}))))


def event(number: int, user: str, kind: Any, at: int, **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=kind, at=START + at, item="s1", **more)


def stages(persons: Persons) -> dict[str, int]:
    found: Counter[str] = Counter()
    for state in persons.states:
        found.update(read_stages(state.records.get(STAGES_KEY)).users)
    return dict(found)


def test_a_visitor_who_has_logged_in_is_counted_once() -> None:
    persons = Persons(3)
    persons.control(use(1, lifecycle=LIFECYCLE))
    persons.tell(event(1, VISITOR, "product_view", 0), event(2, "u2", "product_view", 0))
    assert stages(persons) == {"visitor": 2}
    persons.tell(event(3, USER, "identify", 1_000, anonymous=VISITOR))
    persons.settle()
    assert stages(persons) == {"visitor": 1, "new": 1}

    persons.pass_time(3 * DAY)  # the visitor's profile has a timer at the end of the horizon

    assert stages(persons) == {"visitor": 1, "new": 1}


def test_new_conditions_do_not_count_the_profile_of_a_visitor_who_has_logged_in() -> None:
    persons = Persons(3)
    persons.tell(event(1, VISITOR, "product_view", 0), event(2, USER, "identify", 1_000, anonymous=VISITOR))
    persons.settle()
    persons.control(use(1, lifecycle=LIFECYCLE))
    persons.pass_time(DAY)
    persons.control(use(2, lifecycle=LIFECYCLE, segments=[SEGMENT]))
    persons.pass_time(3 * DAY)

    assert stages(persons) == {"visitor": 1}
