"""The memory of freed buffers returns to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from stream.processes.allocator import map_large_buffers

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "set" and not map_large_buffers():
    raise SystemExit(3)
kept = []
for _ in range(2):  # the first round raises the default bound, and the second one allocates below it
    before, buffers = resident(), []
    for _ in range(60):
        buffers.append(b"x" * 1_000_000)
        kept.append(b"y" * 100_000)
    buffers.clear()
print(resident() - before)
"""


def left(setting: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, setting], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("the allocator is not glibc's")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the resident memory is read from /proc")
def test_freed_buffers_between_small_objects_leave_no_gaps_in_the_process() -> None:
    assert left("set") < 20_000_000 < left("default")
