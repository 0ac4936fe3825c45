"""The times at which people shop, as cumulative intensity: a weekly rhythm by hour, and a slow wave."""

from __future__ import annotations

import math
from bisect import bisect_right

from models.units import HOUR

_HOURS = (
    0.25, 0.15, 0.1, 0.1, 0.1, 0.2, 0.4, 0.7, 0.9, 1.0, 1.1, 1.2,
    1.4, 1.2, 1.1, 1.1, 1.2, 1.4, 1.7, 2.1, 2.3, 2.1, 1.4, 0.7,
)  # fmt: skip
"""Relative traffic of each hour of the day, local time."""
_WEEKDAYS = (0.95, 0.9, 0.9, 0.95, 1.0, 1.15, 1.15)
"""Relative traffic of each day of the week, from Monday."""
_WAVE, _WAVE_DAYS = 0.1, 60.0
"""Amplitude and period of the slow wave."""


class Season:
    """Cumulative visiting intensity of one time zone, in days of average traffic.

    Visits of a shopper are a Poisson process whose intensity is the shopper's ``rate`` a day times this season. So the
    probability of no visit between two times is exactly ``exp(-rate * season.between(a, b))``.

    Parameters
    ----------
    start_ms
        First covered instant, milliseconds since the epoch.
    days
        Number of covered days.
    offset_hours
        Local time minus UTC, hours.

    Examples
    --------
    The slow wave makes the first month count for 32 average days:

    >>> from models.units import DAY
    >>> season = Season(start_ms=1_767_571_200_000, days=60, offset_hours=0)
    >>> round(season.between(1_767_571_200_000, 1_767_571_200_000 + 30 * DAY))
    32
    """

    def __init__(self, start_ms: int, days: int, offset_hours: int) -> None:
        self._start = start_ms
        hours, weekdays = sum(_HOURS) / 24, sum(_WEEKDAYS) / 7
        cumulative, total = [0.0], 0.0
        first = start_ms // HOUR + offset_hours
        for number in range(days * 24):
            local = first + number
            wave = 1.0 + _WAVE * math.sin(2 * math.pi * number / 24 / _WAVE_DAYS)
            # Day 0 of the epoch was a Thursday.
            weekday = (local // 24 + 3) % 7
            total += _HOURS[local % 24] / hours * _WEEKDAYS[weekday] / weekdays * wave / 24
            cumulative.append(total)
        self._cumulative = cumulative

    def __repr__(self) -> str:
        """Show the covered time."""
        return f"Season(start_ms={self._start}, days={(len(self._cumulative) - 1) // 24})"

    def at(self, at_ms: int) -> float:
        """Return the intensity from the start to a time, days of average traffic; constant outside the covered time."""
        hours = (at_ms - self._start) / HOUR
        if hours <= 0:
            return 0.0
        whole = int(hours)
        if whole >= len(self._cumulative) - 1:
            return self._cumulative[-1]
        low = self._cumulative[whole]
        return low + (self._cumulative[whole + 1] - low) * (hours - whole)

    def between(self, from_ms: int, to_ms: int) -> float:
        """Return the intensity between two times, days of average traffic."""
        return self.at(to_ms) - self.at(from_ms)

    def when(self, from_ms: int, intensity: float) -> int | None:
        """Return the time at which ``intensity`` has passed since ``from_ms``; ``None`` after the covered time."""
        target = self.at(from_ms) + intensity
        if target >= self._cumulative[-1]:
            return None
        hour = bisect_right(self._cumulative, target) - 1
        low, high = self._cumulative[hour], self._cumulative[hour + 1]
        return self._start + int((hour + (target - low) / (high - low)) * HOUR)
