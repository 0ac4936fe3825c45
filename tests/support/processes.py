"""Waiting for processes in tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

MIN_PAUSE_S = 0.01
"""Minimum time between two looks at a condition, seconds."""
MAX_PAUSE_S = 0.1
"""Maximum time between two looks at a condition, seconds."""
PAUSE_SHARE = 0.05
"""Pause between two looks, as a share of the time that was waited already."""


def await_true(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Wait until ``condition`` holds; fail after ``within`` seconds.

    The pauses grow with the time of waiting. Otherwise a condition that asks a process over HTTP would slow down the
    process that it waits for, and all other tests.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < within, f"not true within {within} s"
        time.sleep(min(max(PAUSE_SHARE * waited, MIN_PAUSE_S), MAX_PAUSE_S))


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def roles_below(worker: int) -> dict[str, int]:
    """Map the name of each role that runs below ``perennial worker`` to its process id."""
    found = {}
    # a child is listed with the thread that forked it
    for children in Path(f"/proc/{worker}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended
        for pid in map(int, pids):
            words = command_line(pid)
            if "--role" in words:
                found[words[words.index("--role") + 1]] = pid
    return found


def command_line(pid: int) -> list[str]:
    """Return the words of a process's command line; an empty list if it has ended.

    While a process becomes another program, its command line is empty for a moment. So it is read again.
    """
    while is_running(pid):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return []
        if line:
            return [word.decode(errors="replace") for word in line.split(b"\0")]
        time.sleep(0.001)
    return []


def await_gone(pid: int, within: float = 10.0) -> None:
    """Wait until the process has ended; fail after ``within`` seconds."""
    await_true(lambda: not is_running(pid), within)
