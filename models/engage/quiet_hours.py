"""Quiet hours on the user's own wall clock, exact through every change of the zone's offset."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from models.engage import zones
from models.engage.configuration import QuietHours

_DAY_SECONDS = 86_400


def is_quiet(quiet: QuietHours, where: ZoneInfo, at: int) -> bool:
    """Whether the wall clock stands within the quiet hours.

    Examples
    --------
    >>> is_quiet(QuietHours(21 * 60, 8 * 60), zones.zone("UTC"), 3_600_000)
    True
    """
    return _within(quiet, _second_of_day(where, at))


def next_change(quiet: QuietHours, where: ZoneInfo, at: int) -> int:
    """Find the first instant after ``at`` at which quiet hours end or, outside of them, begin.

    The wall clock runs evenly between two changes of the offset. So the end is computed with the offset of now; where
    the offset changes before that, the search goes on from the very instant of the change.

    Parameters
    ----------
    quiet, where, at
        The hours, the zone, milliseconds.

    Returns
    -------
    int
        Milliseconds.

    Examples
    --------
    >>> next_change(QuietHours(21 * 60, 8 * 60), zones.zone("UTC"), 3_600_000) == 8 * 3_600_000
    True
    """
    now_quiet = is_quiet(quiet, where, at)
    while True:
        boundary = (quiet.end if now_quiet else quiet.start) * 60
        seconds = (boundary - _second_of_day(where, at)) % _DAY_SECONDS or _DAY_SECONDS
        # `at` may stand within a second; a boundary is at a full one
        candidate = (at // 1000 + seconds) * 1000
        changed = _offset_change(where, at, candidate)
        if changed is None:
            return candidate
        if is_quiet(quiet, where, changed) != now_quiet:
            return changed
        at = changed


def _within(quiet: QuietHours, second: int) -> bool:
    start, end = quiet.start * 60, quiet.end * 60
    if start <= end:
        return start <= second < end
    return second >= start or second < end


def _second_of_day(where: ZoneInfo, at: int) -> int:
    wall = zones.local(at, where)
    return wall.hour * 3600 + wall.minute * 60 + wall.second


def _offset_change(where: ZoneInfo, start: int, end: int) -> int | None:
    """First full second in (start, end] with another offset than at ``start``; ``None`` without one."""
    before = zones.local(start, where).utcoffset()
    if zones.local(end, where).utcoffset() == before:
        return None
    low, high = start // 1000, end // 1000
    while high - low > 1:
        middle = (low + high) // 2
        if zones.local(middle * 1000, where).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high * 1000
