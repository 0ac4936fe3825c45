"""Entries into journeys at a time of day: the next instant at which a member of the segment enters.

The instant follows from the user's time zone and from the last entry alone, so nothing is stored but the timer. The
entries of a partition come one after the other, so that a triggered message does not wait for all of them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo

from models.conditions.periods import NEVER
from models.conditions.writing import digest
from models.configuration.journeys.definition import Entry, ScheduleTrigger
from models.engage.journeys.local_times import next_local_time

ENTRIES_PER_SECOND = 2_000
"""Number of users of a partition that enter in a second, on average."""
TOGETHER_MS = 100
"""Time between two instants at which users enter, milliseconds."""


def next_entry(enter: Entry, last: int | None, after: int, zone: tzinfo, delay: int = 0) -> int:
    """Return the first instant after a time at which a member may enter, milliseconds; ``NEVER`` if there is none.

    A user enters at most once on one local date, also if the time zone has changed since.

    Parameters
    ----------
    enter
        The entry; its trigger is a schedule.
    last
        Time of the user's last entry, milliseconds; ``None`` before any.
    after
        The time, milliseconds.
    zone
        The user's time zone.
    delay
        See :func:`delay_of`.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> from models.configuration.journeys.definition import LocalTime
    >>> enter = Entry(ScheduleTrigger(LocalTime(9 * 60), "members"), again="always")
    >>> midnight, berlin = int(datetime(2026, 3, 29, tzinfo=UTC).timestamp() * 1000), ZoneInfo("Europe/Berlin")
    >>> first = next_entry(enter, None, midnight, berlin)
    >>> for found in (first, next_entry(enter, first, first, berlin)):
    ...     print(datetime.fromtimestamp(found / 1000, berlin))
    2026-03-29 09:00:00+02:00
    2026-03-30 09:00:00+02:00
    """
    assert isinstance(enter.on, ScheduleTrigger)
    begin = after + 1 - delay
    if last is not None:
        if enter.again == "never":
            return NEVER
        if enter.again == "after":
            begin = max(begin, last + enter.again_after - delay)
    found = next_local_time(enter.on.at, begin, zone)
    if last is not None and _date(found, zone) == _date(last - delay, zone):
        found = next_local_time(enter.on.at, found + 1, zone)
    return found + delay


def delay_of(journey: str, user: str, users: int) -> int:
    """Return the time by which a user enters after the time of day, milliseconds; 0 in a small partition.

    Parameters
    ----------
    journey, user
        The journey and the user, whose hash decides.
    users
        Number of users of the partition. With more users, no delay becomes shorter.

    Examples
    --------
    >>> delay_of("weekly", "ada", 199), 0 < delay_of("weekly", "ada", 1_000_000) < 500_000
    (0, True)
    """
    offset = digest(f"schedule:{journey}\0{user}".encode()) * (users * 1000 // ENTRIES_PER_SECOND) >> 64
    return offset // TOGETHER_MS * TOGETHER_MS


def _date(at: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at // 1000, UTC).astimezone(zone).date()
