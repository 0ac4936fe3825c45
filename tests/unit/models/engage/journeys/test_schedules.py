"""Entries at a time of day: compared with a search over all minutes, in zones that change their clocks."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions.periods import NEVER
from models.configuration.journeys.definition import Entry, LocalTime, ScheduleTrigger
from models.engage.journeys.schedules import delay_of, next_entry
from models.places import zones
from models.units import DAY, HOUR, MINUTE
from tests.support.people import berlin_ms

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Santiago")


def local(at: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def searched(enter: Entry, last: int | None, after: int, zone: tzinfo) -> int:
    """Search the first minute that shows the time, or the first one after it if the clocks skip the time."""
    assert isinstance(enter.on, ScheduleTrigger)
    clock, days = enter.on.at.minute, enter.on.at.days
    minute = -(-(after + 1) // MINUTE) * MINUTE
    while True:
        now, before = local(minute, zone), local(minute - MINUTE, zone)
        is_new_day = now.date() != before.date()
        begun = -1 if is_new_day else before.hour * 60 + before.minute
        reached = begun < clock <= now.hour * 60 + now.minute
        is_first = all(
            local(minute - ago * MINUTE, zone).date() != now.date()
            or local(minute - ago * MINUTE, zone).hour * 60 + local(minute - ago * MINUTE, zone).minute < clock
            for ago in range(1, 130)
        )
        is_other_date = last is None or local(last, zone).date() != now.date()
        is_again = last is None or enter.again != "after" or minute >= last + enter.again_after
        if reached and is_first and is_other_date and is_again and (not days or now.weekday() in days):
            return minute
        minute += MINUTE


@given(
    at=st.builds(LocalTime, st.integers(0, 24 * 60 - 1), st.sampled_from([(), (0,), (2, 6), (5, 6)])),
    zone=st.sampled_from(ZONES),
    start=st.sampled_from(["2026-03-06T00:00", "2026-03-27T10:00", "2026-04-03T03:00", "2026-09-04T12:00"]),
    passed=st.integers(0, 2 * DAY),
    last=st.none() | st.integers(0, 3 * DAY),
    again=st.sampled_from(["always", "once_left", "after"]),
)
@settings(max_examples=60, deadline=None)
def test_the_next_entry_is_the_first_minute_of_that_time_on_another_date(
    at: LocalTime, zone: str, start: str, passed: int, last: int | None, again: str
) -> None:
    after, where = berlin_ms(start) + passed, zones.zone(zone)
    enter = Entry(ScheduleTrigger(at, "members"), again=again, again_after=30 * HOUR if again == "after" else 0)  # type: ignore[arg-type]
    entered = None if last is None else after - last

    assert next_entry(enter, entered, after, where) == searched(enter, entered, after, where)


def test_who_may_enter_once_enters_once() -> None:
    enter = Entry(ScheduleTrigger(LocalTime(9 * 60), "members"))
    first = next_entry(enter, None, 0, UTC)

    assert first == 9 * HOUR
    assert next_entry(enter, first, first, UTC) == NEVER


@given(
    user=st.text(max_size=8),
    users=st.integers(0, 10**6),
    more=st.integers(0, 10**6),
    after=st.integers(0, 3 * DAY),
)
def test_a_delay_moves_the_entry_and_only_grows_with_the_partition(
    user: str, users: int, more: int, after: int
) -> None:
    enter, delay = Entry(ScheduleTrigger(LocalTime(60), "members"), again="always"), delay_of("j", user, users)
    found = next_entry(enter, None, after, UTC, delay)

    assert 0 <= delay <= users // 2
    assert delay <= delay_of("j", user, users + more)
    assert found > after
    assert (found - delay) % DAY == HOUR
    assert found - delay - DAY <= after - delay
