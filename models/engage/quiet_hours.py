"""Quiet hours on the user's wall clock, exact across every change of the zone's offset.

A user may be in one of several zones (:class:`~models.engage.user_zone.ZoneAnswer`). Then it is quiet if it is quiet in
any of them. If it would then be quiet at every time of the day, the most populous zone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from models.configuration.compiled import QuietHours
from models.engage.user_zone import ZoneAnswer
from models.places import zones
from models.units import DAY

_DAY_SECONDS = 86_400
_DAY_MIN = 1_440
LENGTHENED_MIN = 120
"""Time by which quiet hours begin earlier and end later if the user's zone is not known, minutes."""
MIN_OPEN_MIN = 60
"""Minimum time of a day that quiet hours leave open when they are lengthened, minutes."""
MAX_SEARCH_MS = 2 * DAY
"""Maximum time to search ahead for a time that is quiet in no zone, milliseconds.

It is two days and not one, because the clocks may change meanwhile.
"""


class Quiet(NamedTuple):
    """The state of a user's quiet hours at one moment.

    Attributes
    ----------
    is_quiet
        Whether it is within quiet hours.
    until
        The time at which this state changes, milliseconds.
    """

    is_quiet: bool
    until: int


def check(quiet: QuietHours, answer: ZoneAnswer, at: int) -> Quiet:
    """Return whether it is quiet in any zone that the user may be in, and the time at which this changes.

    Parameters
    ----------
    quiet
        The configured quiet hours.
    answer
        The zones that the user may be in.
    at
        The time, milliseconds.

    Examples
    --------
    >>> night, noon = QuietHours(21 * 60, 8 * 60), 12 * 3_600_000
    >>> check(night, ZoneAnswer(("UTC",), "trait", ""), noon).until // 3_600_000
    21
    >>> check(night, ZoneAnswer(("UTC",), "configuration", ""), noon).until // 3_600_000
    19
    >>> check(night, ZoneAnswer(("UTC", "Asia/Tokyo"), "country", ""), noon)  # in Tokyo it is 21:00
    Quiet(is_quiet=True, until=115200000)
    """
    if answer.is_guess:
        quiet = lengthened(quiet)
    candidates = [zones.zone(name) for name in answer.zones]
    opens = _next_open(quiet, candidates, at)
    if opens is None:  # there is no hour that is open in all zones, so the most populous zone decides
        return Quiet(is_quiet(quiet, candidates[0], at), next_change(quiet, candidates[0], at))
    if opens > at:
        return Quiet(is_quiet=True, until=opens)
    return Quiet(is_quiet=False, until=min(next_change(quiet, where, at) for where in candidates))


def lengthened(quiet: QuietHours) -> QuietHours:
    """Return quiet hours that begin two hours earlier and end two hours later, but leave an hour of the day open.

    Examples
    --------
    >>> lengthened(QuietHours(21 * 60, 8 * 60)) == QuietHours(19 * 60, 10 * 60)
    True
    >>> lengthened(QuietHours(12 * 60, 10 * 60))  # two hours are open: 10:00 to 12:00
    QuietHours(start=690, end=630)
    """
    is_open = (quiet.start - quiet.end) % _DAY_MIN
    side = min(LENGTHENED_MIN, max(0, is_open - MIN_OPEN_MIN) // 2)
    return QuietHours((quiet.start - side) % _DAY_MIN, (quiet.end + side) % _DAY_MIN)


def _next_open(quiet: QuietHours, candidates: Sequence[tzinfo], at: int) -> int | None:
    """Find the first instant, not before ``at``, that is quiet in no zone; ``None`` if the next two days have none."""
    end = at + MAX_SEARCH_MS
    while at <= end:
        ends = [next_change(quiet, where, at) for where in candidates if is_quiet(quiet, where, at)]
        if not ends:
            return at
        at = max(ends)
    return None


def is_quiet(quiet: QuietHours, where: tzinfo, at: int) -> bool:
    """Return whether the wall clock is within the quiet hours.

    Examples
    --------
    >>> is_quiet(QuietHours(21 * 60, 8 * 60), zones.zone("UTC"), 3_600_000)
    True
    """
    return _within(quiet, _second_of_day(where, at))


def next_change(quiet: QuietHours, where: tzinfo, at: int) -> int:
    """Find the first instant after ``at`` at which quiet hours end or, outside of them, begin.

    The wall clock runs evenly between two changes of the offset. So the returned time is computed with the current
    offset. If the offset changes before that time, the search continues from the instant at which the offset changes.

    Parameters
    ----------
    quiet, where
        The quiet hours, and the zone of the wall clock.
    at
        The time, milliseconds.

    Returns
    -------
    int
        The time of the change, milliseconds.

    Examples
    --------
    >>> next_change(QuietHours(21 * 60, 8 * 60), zones.zone("UTC"), 3_600_000) == 8 * 3_600_000
    True
    """
    now_quiet = is_quiet(quiet, where, at)
    while True:
        boundary = (quiet.end if now_quiet else quiet.start) * 60
        seconds = (boundary - _second_of_day(where, at)) % _DAY_SECONDS or _DAY_SECONDS
        # A boundary is at a full second, but `at` can be between two seconds.
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


def _second_of_day(where: tzinfo, at: int) -> int:
    wall = zones.local(at, where)
    return wall.hour * 3600 + wall.minute * 60 + wall.second


def _offset_change(where: tzinfo, start: int, end: int) -> int | None:
    """Find the first full second in (start, end] with another offset than at ``start``."""
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
