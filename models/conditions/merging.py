"""Merge the oldest events of a series, so that a user's state stays bounded. From then on the series is approximate."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from models.conditions.entries import Series
from models.units import DAY, HOUR

MAX_SUM = 9 * 10**18
"""Maximum absolute value of a sum in one entry, in units of 10^-6."""

Combine = Callable[[Iterable[int]], int]
"""Function of the values that are merged: ``sum``, ``max`` or ``min``."""


def merge_oldest(series: Series, combine: Combine) -> None:
    """Merge the two oldest entries of a series into one, at the time of the newer one."""
    _merge(series, [0, *range(2, len(series.times))], combine)


def merge(series: Series, combine: Combine) -> None:
    """Merge the events of each hour. If that does not help, merge those of each day; otherwise merge pairs.

    The series has at most three quarters of its entries afterwards, unless it has fewer than four.
    """
    enough = len(series.times) * 3 // 4
    for length in (HOUR, DAY):
        starts = _starts([at // length for at in series.times])
        if len(starts) <= enough:
            break
    else:
        starts = list(range(0, len(series.times), 2))
    _merge(series, starts, combine)


def _starts(groups: list[int]) -> list[int]:
    return [place for place, group in enumerate(groups) if not place or group != groups[place - 1]]


def _merge(series: Series, starts: list[int], combine: Combine) -> None:
    """Merge the entries from each start to before the next one; each merged entry is at the newest of its times."""
    ends = [*starts[1:], len(series.times)]
    counts = series.counts or [1] * len(series.times)
    series.counts = [sum(counts[begin:end]) for begin, end in zip(starts, ends, strict=True)]
    if series.values:
        merged = (combine(series.values[begin:end]) for begin, end in zip(starts, ends, strict=True))
        series.values = [max(-MAX_SUM, min(value, MAX_SUM)) for value in merged]
    series.times = [series.times[end - 1] for end in ends]
    series.marks = [series.marks[end - 1] for end in ends]
    series.is_approximate = True
