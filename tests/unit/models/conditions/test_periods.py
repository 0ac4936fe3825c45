from datetime import UTC, date, datetime, timedelta

import pytest

from models.conditions.clauses import Unit
from models.conditions.periods import anniversary, midnight, period, read_time
from models.places.zones import names, zone
from tests.support.naive_events import day_of, first_instant


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("name", sorted(names() - {"Factory"})[::7])
def test_each_day_of_a_year_begins_at_the_first_instant_that_has_its_date(name: str) -> None:
    own = zone(name)
    for i in range(0, 366, 3):
        day = date(2026, 1, 1) + timedelta(days=i)
        assert midnight(day, zone(name)) == first_instant(day, own)


@pytest.mark.parametrize("name", ["America/Santiago", "Africa/Cairo", "America/Havana", "Asia/Beirut"])
def test_every_instant_is_in_the_period_of_its_day(name: str) -> None:
    where, own = zone(name), zone(name)
    for begin in (_ms("2026-03-27"), _ms("2026-04-03"), _ms("2026-04-22"), _ms("2026-09-04"), _ms("2026-10-30")):
        for at in range(begin, begin + 4 * 86_400_000, 900_000):
            first, end = period("day", at, where)
            assert first == first_instant(day_of(at, own), own)
            assert first <= at < end


def test_where_midnight_does_not_exist_the_day_begins_at_the_first_instant_after_it() -> None:
    assert midnight(date(2026, 9, 6), zone("America/Santiago")) == _ms("2026-09-06T04:00")  # 01:00 there


@pytest.mark.parametrize(
    ("unit", "begin", "end"), [("week", "2026-04-27", "2026-05-04"), ("month", "2026-05-01", "2026-06-01")]
)
def test_weeks_begin_on_mondays_and_months_on_the_first(unit: Unit, begin: str, end: str) -> None:
    assert period(unit, _ms("2026-05-03T23:59"), UTC) == (_ms(begin), _ms(end))


def test_an_anniversary_of_29_february_is_on_the_28th_and_the_first_one_is_a_year_later() -> None:
    born = date(2024, 2, 29)
    assert anniversary(born, _ms("2024-03-01"), UTC) == (_ms("2025-02-28"), _ms("2025-03-01"))
    assert anniversary(born, _ms("2024-02-29"), UTC) == (_ms("2025-02-28"), _ms("2025-03-01"))
    assert anniversary(born, _ms("2027-12-01"), UTC) == (_ms("2028-02-29"), _ms("2028-03-01"))


@pytest.mark.parametrize("value", ["2026-13-01", "2026-01-01T25:00Z", "20260101", "tomorrow", "", 5, None, True, 1.5])
def test_what_is_no_time_is_not_read(value: object) -> None:
    assert read_time(value, UTC) is None


def test_a_time_without_a_zone_is_read_only_in_the_users_zone() -> None:
    assert read_time("2026-01-01T12:00", None) is None
    assert read_time("2026-01-01T12:00", zone("Asia/Tokyo")) == _ms("2026-01-01T03:00")
    assert read_time("2026-01-01", zone("Asia/Tokyo")) == _ms("2025-12-31T15:00")
