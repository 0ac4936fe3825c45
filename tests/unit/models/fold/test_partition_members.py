"""Entries of members into journeys: at a time of day in their zone, and when a journey is applied."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.parsing import parse
from models.events import Event
from models.fold.prospects import ConditionsPlan
from models.log import JourneyOrder, JourneyOrders, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START, written
from tests.unit.models.fold.test_partition_journeys import (
    TEMPLATES,
    configuration,
    consent,
    fold,
    known,
    log,
    moves,
    sent,
    tick,
)

SEGMENTS = [
    {"name": "pro", "when": {"trait": "plan", "is": "pro"}},
    {"name": "staff", "when": {"trait": "staff", "is": True}},
]
DAILY: dict[str, Any] = {
    "name": "daily",
    "enter": {"on": {"every": {"time": "09:00"}, "of": "pro"}, "again": "always"},
    "exit": [{"after": "2h", "as": "over"}],
    "steps": [{"id": "hello", "send": "hello"}, {"id": "rest", "wait": "30m"}],
}
EXISTING: dict[str, Any] = {
    "name": "welcome",
    "enter": {"on": {"segment": "pro"}, "existing": "enter", "if": {"not": {"segment": "staff"}}},
    "exit": [{"after": "2h", "as": "over"}],
    "steps": [{"id": "hello", "send": "hello"}],
}
SIZES = [1, 3, 1_000]


def traits(user: str, at: int, **given: Any) -> Event:
    name = f"t-{user}-{at}"
    return Event(id=name, user=user, type="identify", at=START + at, origin="simulate", traits=given)


def entered(outputs: Any, days: int = 40) -> list[tuple[str, int]]:
    """Return the entries of some days: the user and the time after the start."""
    return [
        (one["user"], one["at"] - START)
        for topic, one in outputs
        if topic == "signals" and one["kind"] == "journey_entered" and one["at"] < START + days * DAY
    ]


@pytest.mark.parametrize("size", SIZES)
def test_members_enter_at_the_time_of_day_of_their_zone_until_they_leave(size: int) -> None:
    people = [
        traits("ada", 0, plan="pro", timezone="Europe/Berlin"),
        traits("bo", 0, plan="pro", timezone="America/New_York"),
        traits("cy", 0, plan="free", timezone="UTC"),
        traits("ada", 3 * DAY, plan="free"),
    ]

    state, outputs = fold(log(configuration(1, DAILY, segments=SEGMENTS), *people), size)

    assert entered(outputs, 4) == [
        ("ada", 8 * HOUR),
        ("bo", 14 * HOUR),
        ("ada", DAY + 8 * HOUR),
        ("bo", DAY + 14 * HOUR),
        ("ada", 2 * DAY + 8 * HOUR),
        ("bo", 2 * DAY + 14 * HOUR),
        ("bo", 3 * DAY + 14 * HOUR),
    ]
    assert unpack(state.records[b"cy"]).ledger.timers == []
    assert unpack(state.records[b"ada"]).ledger.timers == []


@pytest.mark.parametrize("size", SIZES)
def test_a_new_zone_counts_at_once_and_no_local_date_counts_twice(size: int) -> None:
    people = [
        traits("ada", 0, plan="pro", timezone="America/New_York"),
        traits("ada", 10 * HOUR, timezone="UTC"),  # 09:00 has passed there, so the next day counts
        traits("ada", DAY + 10 * HOUR, timezone="America/New_York"),  # there it is 05:00 of a date that has counted
    ]

    _, outputs = fold(log(configuration(1, DAILY, segments=SEGMENTS), *people), size)

    assert entered(outputs, 3) == [("ada", DAY + 9 * HOUR), ("ada", 2 * DAY + 14 * HOUR)]


@pytest.mark.parametrize("size", SIZES)
def test_a_schedule_that_is_applied_later_reaches_members_and_ends_when_it_is_removed(size: int) -> None:
    first = traits("ada", 0, plan="pro")
    plain, daily = configuration(1, segments=SEGMENTS), configuration(2, DAILY, segments=SEGMENTS)
    removed = configuration(3, segments=SEGMENTS)

    _, outputs = fold(log(plain, first, tick(DAY), daily, tick(3 * DAY), removed), size)

    assert entered(outputs) == [("ada", DAY + 9 * HOUR), ("ada", 2 * DAY + 9 * HOUR)]
    assert moves(outputs)[-1] == (2 * DAY + 9 * HOUR + 30 * MINUTE, "ended", "completed")


@pytest.mark.parametrize(("again", "expected"), [("never", [9]), ({"after": "40h"}, [9, 57, 105])])
def test_who_may_not_enter_again_is_not_refused_every_day(again: Any, expected: list[int]) -> None:
    daily = {**DAILY, "enter": {**DAILY["enter"], "again": again}}

    _, outputs = fold(log(configuration(1, daily, segments=SEGMENTS), traits("ada", 0, plan="pro")))

    assert entered(outputs, 5) == [("ada", hour * HOUR) for hour in expected]
    assert not [one for one in moves(outputs) if one[1] == "refused"]


@pytest.mark.parametrize("size", SIZES)
def test_times_of_day_that_passed_while_the_clock_stood_are_passed_over_but_for_the_last_day(size: int) -> None:
    records = written(
        [
            opening("feeder"),
            configuration(1, DAILY, segments=SEGMENTS),
            tick(0),
            traits("ada", 0, plan="pro"),
            tick(HOUR),
            tick(9 * DAY + 10 * HOUR),
            tick(9 * DAY + 20 * HOUR),
        ]
    )

    _, outputs = fold(records, size)

    assert entered(outputs) == [("ada", 9 * DAY + 9 * HOUR)]


@pytest.mark.parametrize("size", SIZES)
def test_a_pause_refuses_or_holds_the_entries_of_a_schedule(size: int) -> None:
    pause = JourneyOrders((JourneyOrder("daily", "pause", entries="drop"),))
    contents = [traits("ada", 0, plan="pro"), tick(HOUR), pause]

    _, outputs = fold(log(configuration(1, DAILY, segments=SEGMENTS), *contents), size)

    assert moves(outputs)[:2] == [(9 * HOUR, "refused", "paused"), (DAY + 9 * HOUR, "refused", "paused")]


@pytest.mark.parametrize("size", SIZES)
def test_members_enter_when_the_journey_is_applied_and_only_then(size: int) -> None:
    people = [known("ada"), consent("ada"), traits("ada", 1, plan="pro"), traits("bo", 1, plan="pro", staff=True)]
    plain, with_journey = configuration(1, segments=SEGMENTS), configuration(2, EXISTING, segments=SEGMENTS)
    changed = configuration(3, {**EXISTING, "steps": [{"id": "rest", "wait": "1m"}]}, segments=SEGMENTS)
    again = {**EXISTING, "name": "again"}

    _, outputs = fold(log(plain, *people, tick(DAY), with_journey, tick(2 * DAY), changed, tick(3 * DAY)), size)

    assert [user for user, _ in entered(outputs)] == ["ada"], "bo does not meet the condition; no one enters twice"
    assert [step for _, step, _ in sent(outputs)] == ["welcome/hello"]
    both = configuration(4, EXISTING, again, segments=SEGMENTS)
    _, outputs = fold(log(plain, *people, tick(DAY), with_journey, tick(2 * DAY), both, tick(3 * DAY)), size)
    assert [user for user, _ in entered(outputs)] == ["ada", "ada"], "the second journey is new"


@pytest.mark.parametrize("size", SIZES)
def test_existing_members_are_let_in_one_after_the_other(size: int) -> None:
    people = [traits(f"u{number}", 0, plan="pro") for number in range(40)]
    plain, with_journey = configuration(1, segments=SEGMENTS), configuration(2, EXISTING, segments=SEGMENTS)

    _, outputs = fold(log(plain, *people, tick(DAY), with_journey, tick(2 * DAY)), size)

    assert len(entered(outputs)) == 40
    assert len({at for _, at in entered(outputs)}) > 10


def test_a_user_who_enters_the_segment_by_its_own_signal_enters_the_journey_once() -> None:
    entering = [{**SEGMENTS[0], "on_apply": "enter"}, SEGMENTS[1]]
    both = configuration(2, EXISTING, segments=entering)

    _, outputs = fold(log(configuration(1), traits("ada", 0, plan="pro"), tick(DAY), both, tick(2 * DAY)))

    assert [kind for _, kind, _ in moves(outputs)] == ["entered", "ended"]


def test_a_plan_names_the_journeys_that_members_would_enter() -> None:
    before = parse({"segments": SEGMENTS}, TEMPLATES)
    after = parse({"segments": SEGMENTS, "journeys": [EXISTING, DAILY]}, TEMPLATES)

    assert ConditionsPlan(after, before).taking == {"welcome": "pro"}
    assert ConditionsPlan(after, after).taking == {}
    assert ConditionsPlan(after, None).taking == {"welcome": "pro"}
