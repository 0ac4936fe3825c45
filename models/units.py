"""Units of time, in milliseconds: every time and every span of time in the engine is a whole number of them."""

from __future__ import annotations

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
