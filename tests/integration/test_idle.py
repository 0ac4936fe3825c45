"""An installation without events does nearly nothing: its processes wait for records, and rarely ask for them."""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmarks import idle
from tests.support.paths import ROOT

MAX_WAKEUPS = 700
"""Maximum number of wake-ups a second of all processes together. Fetches that wait briefly would cause 2,400."""
MEASURED_S = 4.0


def test_all_processes_together_wake_rarely_while_no_event_comes(tmp_path: Path) -> None:
    with idle.installation(ROOT, tmp_path, None) as up:
        deadline = time.monotonic() + idle.READY_WITHIN_S
        parts = idle.await_parts(up, deadline)
        idle.await_quiet(parts, deadline)
        found = idle.window(parts, MEASURED_S)

    assert set(found) == set(idle.ORDER)
    wakeups = {part: round(one["wakeups"]) for part, one in found.items()}
    assert sum(wakeups.values()) < MAX_WAKEUPS, wakeups
