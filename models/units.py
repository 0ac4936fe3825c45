"""Units of time, and the wall clock. The engine counts every time and every duration in milliseconds."""

from __future__ import annotations

import time

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now_ms() -> int:
    """Return the time of this machine's clock, milliseconds since 1970.

    Models and agents never call this: they get the time as an argument, so that a replay decides the same again.
    """
    return time.time_ns() // 1_000_000
