"""Durations in units of the population's own gaps between purchases, such as ``2 gaps`` or ``1 p90 gap``.

A learner publishes the gaps. The canonical form of a clause has the written gaps and not the resolved time. So when the
gaps change, a clause keeps its number, and what it remembers of each user.

Only clauses whose memory does not depend on the duration can be written in gaps. ``absent`` keeps the newest event.
``times`` keeps as many of the newest events as its bounds need, and then it keeps them at any age.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple, get_args

import msgspec

from models.conditions.clauses import (
    AbsentClause,
    AllOf,
    AnyOf,
    Condition,
    EventClause,
    GapKind,
    GapLength,
    NoneOf,
)
from models.units import DAY, HOUR

PATTERN = r"^(0\.[1-9]|[1-9][0-9]{0,2}(\.[0-9])?) ((p75|p90) )?gaps?$"
"""Regular expression of a duration in gaps."""
ALLOWED = "a number of gaps between purchases: 2 gaps, 1.5 p75 gaps or 1 p90 gap"
MAX_GAP_MS = 3650 * DAY
"""Maximum length of a gap, milliseconds."""

_FORM = re.compile(PATTERN)


def _grid() -> tuple[int, ...]:
    """Return the lengths of gaps in use, milliseconds: whole hours, each about a tenth longer than the one before."""
    hours = [1]
    while hours[-1] * HOUR < MAX_GAP_MS:
        hours.append(max(hours[-1] + 1, hours[-1] * 11 // 10))
    return tuple(hour * HOUR for hour in hours)


_GRID = _grid()


class GapScale(NamedTuple):
    """Lengths of the population's gaps between purchases, milliseconds.

    Attributes
    ----------
    median, p75, p90
        The length that a half, three quarters, and nine tenths of the gaps do not exceed.
    """

    median: int
    p75: int
    p90: int

    def length(self, gaps: GapLength) -> int:
        """Return a duration in milliseconds.

        Examples
        --------
        >>> DEFAULT_SCALE.length(GapLength(5, "p90")) // DAY
        45
        """
        return gaps.tenths * int(getattr(self, gaps.of)) // 10


DEFAULT_SCALE = GapScale(30 * DAY, 60 * DAY, 90 * DAY)
"""The gaps before a learner has seen enough purchases."""


def scale_of(median: float, p75: float, p90: float) -> GapScale:
    """Return the scale for gaps that a learner has published, in days.

    Each is rounded to a fixed grid of hours whose steps are about a tenth. So a small change of the population changes
    nothing. The grid needs no memory of the previous scale, so a replay rounds to the same lengths.

    Examples
    --------
    >>> scale_of(30.0, 60.0, 90.0) == scale_of(30.2, 59.8, 90.4)
    True
    """
    return GapScale(*(_rounded(days) for days in (median, p75, p90)))


def _rounded(days: float) -> int:
    length = min(max(int(days * DAY), HOUR), MAX_GAP_MS)
    place = bisect_left(_GRID, length)
    above = _GRID[place]
    below = _GRID[max(place - 1, 0)]
    return below if length - below < above - length else above


def gap_length(written: str) -> GapLength | None:
    """Read a duration in gaps; ``None`` if it is not one.

    Examples
    --------
    >>> gap_length("1.5 p90 gaps"), gap_length("2 gaps"), gap_length("14d")
    (GapLength(tenths=15, of='p90'), GapLength(tenths=20, of='median'), None)
    """
    found = _FORM.match(written)
    if found is None:
        return None
    whole, _, tenth = found[1].partition(".")
    kind: GapKind = next((one for one in get_args(GapKind) if one == found[4]), "median")
    return GapLength(int(whole) * 10 + int(tenth or 0), kind)


def written_gaps(gaps: GapLength) -> str:
    """Return a duration in gaps as it is written.

    Examples
    --------
    >>> written_gaps(GapLength(15, "p90")), written_gaps(GapLength(10))
    ('1.5 p90 gaps', '1 gap')
    """
    whole, tenth = divmod(gaps.tenths, 10)
    number = f"{whole}.{tenth}" if tenth else f"{whole}"
    kind = "" if gaps.of == "median" else f"{gaps.of} "
    return f"{number} {kind}{'gap' if gaps.tenths == 10 else 'gaps'}"


def has_gaps(condition: Condition) -> bool:
    """Return whether a condition has a duration in gaps.

    Examples
    --------
    >>> has_gaps(AbsentClause("purchase", 0, gaps=GapLength(10))), has_gaps(AbsentClause("purchase", DAY))
    (True, False)
    """
    match condition:
        case AllOf(of) | AnyOf(of) | NoneOf(of):
            return any(map(has_gaps, of))
        case AbsentClause(gaps=gaps):
            return gaps is not None
        case EventClause(window=window):
            return window.gaps is not None
    return False


def resolved(clause: Condition, scale: GapScale) -> Condition:
    """Return a clause with the milliseconds of its gaps; a clause without gaps is returned unchanged."""
    match clause:
        case AbsentClause(gaps=gaps) if gaps is not None:
            return msgspec.structs.replace(clause, duration=scale.length(gaps))
        case EventClause(window=window) if window.gaps is not None:
            return msgspec.structs.replace(
                clause, window=msgspec.structs.replace(window, length=scale.length(window.gaps))
            )
    return clause
