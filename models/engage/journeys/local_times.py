"""Find the first local time at or after an instant that a journey waits for."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

from models.conditions.periods import instant
from models.configuration.journeys.definition import LocalTime

_DAYS_TRIED = 16
"""Number of days that are tried. A zone may have skipped a whole day, so a weekday comes within 15 days."""


def next_local_time(at: LocalTime, now: int, zone: tzinfo) -> int:
    """Return the first instant, at or after ``now``, that is the local time on one of its days; milliseconds.

    A time that the change of clocks skips is the first instant after the gap. Of a time that occurs twice, the first
    occurrence counts. If that has passed, the next day does.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> berlin, sunday = ZoneInfo("Europe/Berlin"), int(datetime(2026, 3, 29, tzinfo=UTC).timestamp() * 1000)
    >>> for minute in (9 * 60, 2 * 60 + 30):
    ...     print(datetime.fromtimestamp(next_local_time(LocalTime(minute), sunday, berlin) / 1000, berlin))
    2026-03-29 09:00:00+02:00
    2026-03-29 03:00:00+02:00
    """
    day = datetime.fromtimestamp(now // 1000, UTC).astimezone(zone).date() - timedelta(days=1)
    clock = time(at.minute // 60, at.minute % 60)
    for _ in range(_DAYS_TRIED):
        if not at.days or day.weekday() in at.days:
            found = instant(datetime.combine(day, clock), zone)
            if found >= now and datetime.fromtimestamp(found // 1000, UTC).astimezone(zone).date() == day:
                return found
        day += timedelta(days=1)
    raise AssertionError(at)
