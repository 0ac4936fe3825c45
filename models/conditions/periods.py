"""Windows over events, periods of the calendar in a time zone, and dates of traits."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from models.conditions.clauses import EventWindow, Unit

NEVER = 2**63 - 1
"""An instant that never comes."""
ALWAYS = -(2**62)
"""An instant before all events."""

_TEXT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII).fullmatch
_DATE_LENGTH = 10


def after(window: EventWindow, now: int, zone: tzinfo) -> int:
    """Return the instant after which events count in a window at ``now``; an event at that instant does not count."""
    kind = window.kind
    if kind == "rolling":
        return now - window.length
    if kind == "calendar":
        assert window.unit is not None
        return period(window.unit, now, zone)[0] - 1
    return ALWAYS if kind == "ever" else window.since - 1


@lru_cache(maxsize=65_536)
def _period(unit: Unit, day: date, zone: tzinfo) -> tuple[int, int]:
    if unit == "week":
        day -= timedelta(days=day.weekday())
        following = day + timedelta(days=7)
    elif unit == "month":
        day = day.replace(day=1)
        following = (day + timedelta(days=31)).replace(day=1)
    else:
        following = day + timedelta(days=1)
    return midnight(day, zone), midnight(following, zone)


def period(unit: Unit, now: int, zone: tzinfo) -> tuple[int, int]:
    """Return the beginning of the day, week or month at ``now``, and the beginning of the next one.

    Examples
    --------
    >>> from models.places.zones import zone
    >>> begin, end = period("day", 1_774_742_400_000, zone("Europe/Berlin"))  # the clocks go forward
    >>> (end - begin) / 3_600_000
    23.0
    """
    day = datetime.fromtimestamp(now // 1000, zone).date()
    begin, end = _period(unit, day, zone)
    if now < end:
        return begin, end
    # Clocks went back over a midnight. The first midnight counts, so the new day has begun.
    return _period(unit, datetime.fromtimestamp(end // 1000, zone).date(), zone)


def midnight(day: date, zone: tzinfo) -> int:
    """Return the first instant of a local day; if its midnight does not exist, the first instant after it.

    If a midnight comes twice, the first one counts.
    """
    return instant(datetime.combine(day, time()), zone)


def instant(local: datetime, zone: tzinfo) -> int:
    """Return the instant of a wall time; in a gap, the first instant after it; if it comes twice, the first one."""
    aware = local.replace(tzinfo=zone, fold=0)
    at = _milliseconds(aware)
    if datetime.fromtimestamp(at // 1000, UTC).astimezone(zone).replace(tzinfo=None, microsecond=0) == local.replace(
        microsecond=0
    ):
        return at
    # The wall time is in a gap. Before the gap, the offset of ``fold=0`` holds; after it, that of ``fold=1``.
    low, high = _milliseconds(local.replace(tzinfo=zone, fold=1)), at
    low, high = min(low, high) // 1000, max(low, high) // 1000
    offset = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high * 1000


def _milliseconds(aware: datetime) -> int:
    since = aware.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


def read_time(value: object, zone: tzinfo | None) -> int | None:
    """Return the instant that a text means, milliseconds; ``None`` if it is none.

    Parameters
    ----------
    value
        A time of ISO 8601. Nothing else is read as a time.
    zone
        Zone of a time without a zone; ``None`` if such a time is not read.

    Examples
    --------
    >>> read_time("1970-01-01T00:00:01Z", None), read_time("1970-01-02", None), read_time("1970-01-02", UTC)
    (1000, None, 86400000)
    """
    if not isinstance(value, str) or not _TEXT(value):
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            return _milliseconds(found)
        return None if zone is None else instant(found, zone)
    except (ValueError, OverflowError):
        return None


def read_date(value: object, zone: tzinfo) -> date | None:
    """Return the local day that a text means: a date, or a time of ISO 8601."""
    if isinstance(value, str) and len(value) == _DATE_LENGTH and _TEXT(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    at = read_time(value, zone)
    return None if at is None else datetime.fromtimestamp(at // 1000, zone).date()


def anniversary(day: date, now: int, zone: tzinfo) -> tuple[int, int] | None:
    """Return the beginning and the end of the anniversary that is now or comes next; ``None`` if there is none.

    The first anniversary is one year after the day. That of 29 February is on the 28th in years without a 29th.
    """
    year = max(datetime.fromtimestamp(now // 1000, zone).year, day.year + 1)
    for candidate in (year, year + 1):
        if candidate > date.max.year - 1:
            return None
        there = _in_year(day, candidate)
        begin, end = midnight(there, zone), midnight(there + timedelta(days=1), zone)
        if now < end:
            return begin, end
    return None


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)
