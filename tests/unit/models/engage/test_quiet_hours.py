from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.configuration.compiled import QuietHours
from models.engage.quiet_hours import Quiet, check, is_quiet, lengthened, next_change
from models.engage.user_zone import ZoneAnswer, zone_of
from models.places import zones
from models.units import DAY

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
        ("2024-10-26T23:00", "2024-10-27T08:00:00+01:00"),  # an hour comes twice
    ],
)
def test_quiet_hours_end_by_the_wall_clock_after_a_change_of_the_clocks(now: str, end: str) -> None:
    berlin = zones.zone("Europe/Berlin")

    assert _wall(next_change(NIGHT, berlin, _at(now, "Europe/Berlin")), "Europe/Berlin") == end


def test_an_end_inside_a_skipped_hour_is_the_instant_after_the_gap() -> None:
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
# The days around changes of the clocks are listed, because random instants rarely hit them.
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


def _lengths(quiet: QuietHours) -> tuple[int, int]:
    """Return how many minutes of a day are not quiet, with these quiet hours and with lengthened ones."""
    longer = lengthened(quiet)
    return (quiet.start - quiet.end) % 1440, (longer.start - longer.end) % 1440


@given(st.integers(0, 1439), st.integers(1, 1439))
def test_lengthened_quiet_hours_add_two_hours_on_each_side_and_leave_an_open_hour_if_there_was_one(
    start: int, length: int
) -> None:
    quiet = QuietHours(start, (start + length) % 1440)

    was_open, is_open = _lengths(quiet)

    if was_open >= 300:
        assert is_open == was_open - 240
        assert lengthened(quiet) == QuietHours((quiet.start - 120) % 1440, (quiet.end + 120) % 1440)
    else:
        assert min(was_open, 60) <= is_open <= was_open


ANSWERS = [
    ZoneAnswer(("Europe/Berlin",), "trait", ""),
    ZoneAnswer(("UTC+05:30",), "trait", ""),
    ZoneAnswer(("America/New_York",), "configuration", ""),
    *(zone_of({"country": country}, "UTC") for country in ("US", "RU", "AU", "BR", "ES", "KI", "CL", "NZ", "UM")),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ANSWERS), minutes, minutes, instants | changes)
def test_the_answer_stays_true_until_the_time_that_it_gives(
    answer: ZoneAnswer, start: int, end: int, moment: datetime
) -> None:
    if start == end:
        return
    quiet, at = QuietHours(start, end), int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    hours = lengthened(quiet) if answer.is_guess else quiet
    candidates = [zones.zone(name) for name in answer.zones]

    def state(at: int) -> tuple[bool, bool]:
        """Return whether it is quiet in any zone, and whether it is quiet in the most populous one."""
        said = [is_quiet(hours, where, at) for where in candidates]
        return any(said), said[0]

    found = check(quiet, answer, at)

    assert at < found.until <= at + 3 * DAY
    later = [state(moment) for moment in range(at, found.until, max(60_000, (found.until - at) // 300))]
    if found.is_quiet:
        assert all(in_any for in_any, _ in later)
    elif any(later[0]):  # the most populous zone decides, because no hour is open in all zones
        assert not any(in_first for _, in_first in later)
        assert all(state(moment)[0] for moment in range(at, at + DAY, 30 * 60_000))
    else:
        assert not any(in_any for in_any, _ in later)


def test_a_user_of_a_country_with_several_zones_waits_until_quiet_hours_have_ended_in_all_of_them() -> None:
    night, spain = QuietHours(21 * 60, 8 * 60), zone_of({"country": "ES"}, "UTC")

    morning = check(night, spain, _at("2026-07-01T07:59", "Europe/Madrid"))
    evening = check(night, spain, _at("2026-07-01T12:00", "Europe/Madrid"))

    assert (spain.zones, spain.rule) == (("Europe/Madrid", "Atlantic/Canary"), "outside quiet hours in all of them")
    assert morning == Quiet(is_quiet=True, until=_at("2026-07-01T08:00", "Atlantic/Canary"))
    assert evening == Quiet(is_quiet=False, until=_at("2026-07-01T21:00", "Europe/Madrid"))


def test_the_most_populous_zone_decides_if_no_hour_is_open_in_all_zones() -> None:
    long_night, russia = QuietHours(17 * 60, 9 * 60), zone_of({"country": "RU"}, "UTC")

    morning = check(long_night, russia, _at("2026-07-01T08:00", "Europe/Moscow"))
    noon = check(long_night, russia, _at("2026-07-01T12:00", "Europe/Moscow"))

    assert russia.name == "Europe/Moscow"
    assert morning == Quiet(is_quiet=True, until=_at("2026-07-01T09:00", "Europe/Moscow"))
    assert noon == Quiet(is_quiet=False, until=_at("2026-07-01T17:00", "Europe/Moscow"))


@pytest.mark.parametrize(
    ("day", "quiet_from", "quiet_until"),
    [  # the clocks change: an hour is missing in the first night, and one comes twice in the second
        ("2026-03-28", "2026-03-28T19:00", "2026-03-29T10:00"),
        ("2026-10-24", "2026-10-24T19:00", "2026-10-25T10:00"),
    ],
)
def test_lengthened_hours_follow_the_wall_clock_after_a_change_of_the_clocks(
    day: str, quiet_from: str, quiet_until: str
) -> None:
    unknown_zone, night = ZoneAnswer(("Europe/Berlin",), "configuration", ""), QuietHours(21 * 60, 8 * 60)

    begins = check(night, unknown_zone, _at(f"{day}T12:00", "Europe/Berlin"))
    ends = check(night, unknown_zone, begins.until)

    assert begins == Quiet(is_quiet=False, until=_at(quiet_from, "Europe/Berlin"))
    assert ends == Quiet(is_quiet=True, until=_at(quiet_until, "Europe/Berlin"))
