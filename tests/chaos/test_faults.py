"""Faults at named points: written, read, and acted on at the right time."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import Fault, Points, happened, parse

PROGRAM = """
import sys
from pathlib import Path
from tests.chaos.faults import Points, parse
points = Points(parse("kill@commit.sent:3"), Path(sys.argv[1]))
for number in range(5):
    points.reach("commit.before")
    print(number, flush=True)
    points.reach("commit.sent")
"""


def test_faults_are_read_as_they_are_written() -> None:
    faults = (Fault("kill", "commit.sent", 7), Fault("stop", "provider.in", 1))

    assert parse(" ".join(map(str, faults))) == faults


@pytest.mark.parametrize("text", ["kill@nowhere:1", "tickle@commit.sent:1"])
def test_an_unknown_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        parse(text)


def test_a_process_dies_at_the_planned_visit_of_its_point_and_records_that_in_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(journal)], capture_output=True, text=True, check=False)

    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["0", "1", "2"]
    assert [deed.fault for deed in happened(journal)] == [Fault("kill", "commit.sent", 3)]


async def test_a_coroutine_with_a_point_in_its_middle_has_the_same_result(tmp_path: Path) -> None:
    points = Points((), tmp_path / "journal")

    assert await points.amid("commit.ending", asyncio.sleep(0, "done")) == "done"
    assert not (tmp_path / "journal").exists()
