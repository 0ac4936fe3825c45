"""A zone is resolved in every spelling if it is certain; otherwise the country decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from models.configuration.templates import render
from models.engage.user_zone import unknown_zone, zone_of
from models.places import countries, zones
from models.source import Received, Source
from models.wire import decode

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("australia/sydney", "Australia/Sydney"),
        ("Australia/Sydney ", "Australia/Sydney"),
        ("\tAMERICA/NEW YORK", "America/New_York"),
        ("America / New_York", "America/New_York"),
        ("america/argentina/buenos aires", "America/Argentina/Buenos_Aires"),
        ("asia/calcutta", "Asia/Calcutta"),
        ("us/pacific", "US/Pacific"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("india standard time", "Asia/Calcutta"),
        ("UTC", "UTC"),
        ("utc", "UTC"),
        ("GMT", "GMT"),
        ("Z", "UTC"),
        ("UTC+10", "UTC+10:00"),
        ("utc + 10", "UTC+10:00"),
        ("UTC+05:30", "UTC+05:30"),
        ("+05:30", "UTC+05:30"),
        ("+0530", "UTC+05:30"),
        ("GMT-3", "UTC-03:00"),
        ("GMT\u22123", "UTC-03:00"),
        ("GMT+00:00", "UTC"),
        ("UTC-12", "UTC-12:00"),
        ("+14:00", "UTC+14:00"),
        ("Etc/GMT+5", "Etc/GMT+5"),  # In POSIX notation this is five hours west.
        ("EST", "EST"),  # tzdata has this zone.
        ("hst", "HST"),
    ],
)
def test_a_zone_that_is_certain_is_known_in_every_spelling(written: str, name: str) -> None:
    assert zones.resolve(written) == name
    assert zones.zone(name).utcoffset(NOON) is not None


UNKNOWN = ["PST", "AEST", "IST", "CST", "PDT", "BST", "10", "Berlin", "Factory", "Etc/Unknown", "Mars/Olympus", "", " "]
NO_OFFSETS = ["UTC+15", "+14:30", "-12:01", "GMT+5:60", "UTC++1", "+", "+5" * 60, "\u0663", "+\u0663"]
HOSTILE = ["../../etc/passwd", "\0", "Europe/Berlin\0"]


@pytest.mark.parametrize("written", [*UNKNOWN, *NO_OFFSETS, *HOSTILE])
def test_an_uncertain_zone_is_not_resolved(written: str) -> None:
    assert zones.resolve(written) is None


@given(st.text(max_size=30))
def test_any_text_is_either_resolved_to_an_existing_zone_or_not_resolved(written: str) -> None:
    name = zones.resolve(written)

    assert name is None or zones.zone(name).utcoffset(NOON) is not None


@given(st.integers(-12 * 60, 14 * 60))
def test_every_fixed_offset_is_a_zone_of_that_offset(minutes: int) -> None:
    written = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60}:{abs(minutes) % 60:02}"
    name = zones.resolve(written)

    assert name is not None
    assert zones.zone(name).utcoffset(NOON) == timedelta(minutes=minutes)
    assert zones.resolve(name) == name, "a name that we show can be sent to us"


def test_no_two_zones_have_the_same_normalized_name() -> None:
    assert all(zones.resolve(name.upper()) == name for name in zones.names() - {"Factory"})


@pytest.mark.parametrize(("zone", "shown"), [("UTC+05:30", "03:43"), ("Europe/Berlin", "23:13"), ("UTC", "22:13")])
def test_templates_show_times_in_every_kind_of_zone(zone: str, shown: str) -> None:
    assert render('{{ now | date: "%H:%M" }}', {"now": 1_700_000_000_000, "timezone": zone}) == shown


def test_an_unresolved_name_is_an_error() -> None:
    for name in ("utc+05:30", "+05:30", "UTC+15:00", "Nowhere"):
        with pytest.raises(KeyError):
            zones.zone(name)


def test_every_country_with_several_zones_has_one_that_is_the_most_populous() -> None:
    several = {code for code, names in countries.zones_by_country().items() if len(names) > 1}

    assert several == set(countries.MOST_POPULOUS)
    for code, name in countries.MOST_POPULOUS.items():
        assert name in countries.zones_by_country()[code]
        assert countries.zones_of(code)[0] == name


def _shown(name: str) -> tuple[timedelta | None, ...]:
    """Return the offsets of a zone over two years."""
    return tuple((NOON + timedelta(days=91 * n)).astimezone(zones.zone(name)).utcoffset() for n in range(8))


def test_zones_of_a_country_that_show_the_same_time_count_as_one() -> None:
    assert countries.zones_of("DE") == ("Europe/Berlin",)
    assert countries.zones_of("AR") == ("America/Argentina/Buenos_Aires",)
    assert set(countries.zones_of("PT")) == {"Europe/Lisbon", "Atlantic/Azores"}
    for code in countries.zones_by_country():
        every, distinct = countries.zones_by_country()[code], countries.zones_of(code)
        assert set(map(_shown, every)) == set(map(_shown, distinct))


@pytest.mark.parametrize(
    ("traits", "zone", "source"),
    [
        ({"timezone": "Asia/Tokyo", "country": "DE", "phone": "+1 212 555 0100"}, "Asia/Tokyo", "trait"),
        ({"timezone": "UTC+10"}, "UTC+10:00", "trait"),
        ({"timezone": "PST", "country": "de"}, "Europe/Berlin", "country"),
        ({"timezone": 5, "country": "GBR "}, "Europe/London", "country"),
        ({"country": "Germany"}, "Europe/Berlin", "country"),
        ({"country": "UK"}, "Europe/London", "country"),
        ({"address": {"country": "JP"}}, "Asia/Tokyo", "country"),
        ({"country": "Atlantis", "address": {"country": "JP"}}, "Asia/Tokyo", "country"),
        ({"country": "Atlantis", "phone": "+81 3 1234 5678"}, "Asia/Tokyo", "phone"),
        ({"phone": "+1 416 555 0100"}, "America/Toronto", "phone"),
        ({"phone": "030 901820"}, "Asia/Kolkata", "configuration"),
        ({"phone": "+800 1234 5678"}, "Asia/Kolkata", "configuration"),
        ({"country": 7, "address": "Berlin", "phone": None}, "Asia/Kolkata", "configuration"),
        ({}, "Asia/Kolkata", "configuration"),
    ],
)
def test_the_trait_comes_first_then_the_country_then_the_phone(traits: dict[str, Any], zone: str, source: str) -> None:
    answer = zone_of(traits, "Asia/Kolkata")

    assert (answer.name, answer.source, answer.is_guess) == (zone, source, source == "configuration")


def test_every_phone_region_has_an_answer() -> None:
    for code in get_global("territory_zones"):
        assert zone_of({"country": code}, "UTC").zones


@pytest.mark.parametrize("said", [{"type": "identify", "user": "u"}, {"type": "identify", "userId": "u"}])
def test_an_unknown_zone_is_a_warning_and_is_kept(said: dict[str, Any]) -> None:
    for written, expected in (("PST", ["unknown_timezone"]), ("europe/berlin ", []), ("", [])):
        warnings: list[Any] = []
        value = orjson.dumps(said | {"traits": {"timezone": written, "plan": "pro"}})
        event = decode(value, Received(Source("s", 0, 0), 1_800_000_000_000), warnings)

        assert [warning.reason for warning in warnings] == expected
        assert event.traits == ({"plan": "pro"} if not written else {"timezone": written, "plan": "pro"})
        assert unknown_zone(event.traits or {}) == ("PST" if expected else None)
