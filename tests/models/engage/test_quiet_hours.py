from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engage import zones
from models.engage.configuration import QuietHours
from models.engage.quiet_hours import is_quiet, next_change

NIGHT = QuietHours(21 * 60, 8 * 60)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # skipped 30 December 2011
    "Asia/Kathmandu",
    "Africa/Casablanca",  # changes around Ramadan
    "America/Sao_Paulo",  # used to change at midnight
)


def _at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zones.zone(zone)).timestamp() * 1000)


def _wall(at: int, zone: str) -> str:
    return zones.local(at, zones.zone(zone)).isoformat()


def test_quiet_hours_that_pass_midnight_end_the_next_morning() -> None:
    now = _at("2024-06-01T22:00", "Europe/Berlin")

    assert _wall(next_change(NIGHT, zones.zone("Europe/Berlin"), now), "Europe/Berlin") == "2024-06-02T08:00:00+02:00"


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2024-03-30T23:00", "2024-03-31T08:00:00+02:00"),  # an hour is missing in this night
        ("2024-10-26T23:00", "2024-10-27T08:00:00+01:00"),  # one comes twice
    ],
)
def test_the_morning_is_the_one_on_the_wall_after_the_clocks_changed(now: str, end: str) -> None:
    berlin = zones.zone("Europe/Berlin")

    assert _wall(next_change(NIGHT, berlin, _at(now, "Europe/Berlin")), "Europe/Berlin") == end


def test_an_end_that_the_clocks_skip_is_the_moment_after_the_gap() -> None:
    quiet = QuietHours(22 * 60, 2 * 60 + 30)  # 02:30 does not exist on that day

    end = next_change(quiet, zones.zone("Europe/Berlin"), _at("2024-03-30T23:00", "Europe/Berlin"))

    assert _wall(end, "Europe/Berlin") == "2024-03-31T03:00:00+02:00"


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    quiet = QuietHours(22 * 60, 2 * 60 + 30)
    berlin = zones.zone("Europe/Berlin")

    first_end = next_change(quiet, berlin, _at("2024-10-26T23:00", "Europe/Berlin"))
    back = next_change(quiet, berlin, first_end)

    assert _wall(first_end, "Europe/Berlin") == "2024-10-27T02:30:00+02:00"
    assert _wall(back, "Europe/Berlin") == "2024-10-27T02:00:00+01:00"
    assert is_quiet(quiet, berlin, back)


minutes = st.integers(min_value=0, max_value=1439)
instants = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2037, 1, 1))  # noqa: DTZ001 (made UTC below)
# the days around changes of the clocks are few: ask for them by name
changes = st.sampled_from(
    ["2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03", "2023-10-01", "2011-12-30", "2018-11-04", "2024-04-14"]
).flatmap(
    lambda day: st.integers(min_value=-1440, max_value=2 * 1440).map(
        lambda minute: datetime.fromisoformat(day) + timedelta(minutes=minute)
    )
)


@given(start=minutes, end=minutes, zone=st.sampled_from(ZONES), when=instants | changes)
@settings(max_examples=300, deadline=None)
def test_the_next_change_is_the_first_instant_that_differs(start: int, end: int, zone: str, when: datetime) -> None:
    if start == end:
        return
    quiet, where = QuietHours(start, end), zones.zone(zone)
    now = int(when.replace(tzinfo=UTC).timestamp() * 1000)

    change = next_change(quiet, where, now)

    before = is_quiet(quiet, where, now)
    assert change > now
    assert is_quiet(quiet, where, change) != before
    assert is_quiet(quiet, where, change - 1) == before
    step = max(60_000, (change - now) // 500)
    assert all(is_quiet(quiet, where, at) == before for at in range(now, change, step))
