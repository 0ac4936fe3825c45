"""Programs that a supervisor keeps running, and the state of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from stream.processes.worker_report import WorkerReport

State: TypeAlias = Literal["running", "waiting", "ended"]
"""State of a program: ``waiting`` for its next start, or ``ended`` forever."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to keep running.

    Attributes
    ----------
    name
        Name for people and logs, unique in its supervisor.
    argv
        Program and arguments.
    env
        Variables that are added to this process's environment.
    log
        File to which its output is appended; ``None`` leaves it on this process's output.
    stop_within
        Seconds from SIGTERM to SIGKILL.
    silent_s
        Seconds without a report after which the program is killed and started again; it reports every second
        (``stream/processes/heartbeat.py``). ``None`` for a program that sends no reports.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    stop_within: float = 10.0
    silent_s: float | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting times before a restart.

    Attributes
    ----------
    first
        Seconds to wait after the first early end.
    factor
        Factor by which each further early end lengthens the delay.
    longest
        Maximum number of seconds.
    healthy_after
        A run of at least this many seconds is not an early end, and resets the count.

    Examples
    --------
    >>> [Backoff(first=0.5, factor=2, longest=10).delay(n) for n in (1, 2, 3, 9)]
    [0.5, 1.0, 2.0, 10.0]
    """

    first: float = 0.1
    factor: float = 2.0
    longest: float = 30.0
    healthy_after: float = 10.0

    def delay(self, early_ends: int) -> float:
        """Return the seconds to wait after this number of consecutive early ends (at least one)."""
        return float(min(self.longest, self.first * self.factor ** min(early_ends - 1, 64)))


@dataclass(frozen=True, slots=True)
class Status:
    """State of a program.

    Attributes
    ----------
    name
        Name of the program.
    state
        ``waiting`` is the time before a restart; after ``ended`` there is no restart.
    pid
        Process id while it runs.
    restarts
        Number of times that it was started again.
    last_end
        Why it ended last, in words.
    report
        Newest report of the running process, if it sends any.
    silence_s
        Seconds since that report; before the first one, since the start.
    """

    name: str
    state: State
    pid: int | None
    restarts: int
    last_end: str | None
    report: WorkerReport | None = None
    silence_s: float | None = None
