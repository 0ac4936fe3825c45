"""Times in the past are read with their zone, or as durations before now."""

from __future__ import annotations

import pytest
import typer

from models.units import DAY, now_ms
from stream.cli.past_times import past_time


def test_a_time_with_its_zone_and_a_duration_are_read() -> None:
    assert past_time("--at", "2026-01-01T01:00+01:00") == 1_767_225_600_000
    assert abs(now_ms() - 7 * DAY - past_time("--at", "7d")) < 60_000


@pytest.mark.parametrize("text", ["2026-01-01T01:00", "yesterday", ""])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--at: found .*; allowed: a duration such as 2h or 7d, or a time"):
        past_time("--at", text)
