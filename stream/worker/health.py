"""Health of a worker: whether its lanes make progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from stream.engine.reports import LaneReport
from stream.processes.worker_report import LaneHealth, WorkerHealth

MAX_WAITING_S = 30.0
"""Maximum time that records may wait without a commit in a healthy lane, seconds."""
MAX_FAILURES = 4
"""Maximum number of consecutive failures of a healthy lane, however often it is opened in between."""


class WaitingTimes:
    """Times for which records have waited for each lane without a commit.

    No record waits for a lane that has read everything, or whose provider must take messages first. Reports do not say
    when this was last true. Therefore, the watchdog gives each of its samples to :meth:`update`.

    Parameters
    ----------
    clock
        Returns monotonic seconds.

    Examples
    --------
    >>> from stream.engine.reports import Phase
    >>> def report(lag, since_commit):
    ...     return LaneReport("events", 0, Phase.READING, True, 5, 5 + lag, lag, since_commit, 0)
    >>> now = 100.0
    >>> waiting = WaitingTimes(lambda: now)
    >>> waiting.update([report(lag=0, since_commit=50.0)])
    >>> now = 103.0
    >>> waiting.seconds(report(lag=1, since_commit=53.0)), waiting.seconds(report(lag=0, since_commit=53.0))
    (3.0, 0.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle_at: dict[tuple[str, int], float] = {}

    def __repr__(self) -> str:
        return f"<WaitingTimes of {len(self._idle_at)} lanes>"

    def update(self, reports: Iterable[LaneReport]) -> None:
        """Record which lanes keep no record waiting now; forget lanes that are not here any more."""
        now, before = self._clock(), self._idle_at
        keys = {(report.topic, report.partition): report.is_idle for report in reports}
        self._idle_at = {key: now if is_idle else before.get(key, -math.inf) for key, is_idle in keys.items()}

    def seconds(self, report: LaneReport) -> float:
        """Return the time for which records have waited, or may have waited, for a lane without a commit."""
        if report.is_idle:
            return 0.0
        idle_at = self._idle_at.get((report.topic, report.partition), -math.inf)
        return min(report.seconds_since_commit, self._clock() - idle_at)


def as_health(lane: LaneReport, waiting_s: float) -> LaneHealth:
    """Return the health of a lane for which records have waited ``waiting_s`` seconds without a commit."""
    return LaneHealth(
        topic=lane.topic,
        partition=lane.partition,
        open=lane.is_open,
        position=lane.position,
        lag=lane.lag,
        idle_s=round(lane.seconds_since_commit, 1),
        waiting_s=round(waiting_s, 1),
        failures=lane.failures,
    )


def worker_health(lanes: Sequence[LaneHealth], *, assigned: bool, held: Mapping[str, str]) -> WorkerHealth:
    """Return whether a worker is ready and healthy, and why.

    Parameters
    ----------
    lanes
        Its lanes.
    assigned
        Whether the group has assigned this worker its partitions, even if there are none. A worker that stands by is
        ready.
    held
        Name and text of each reason for which the worker holds its messages. While there is a reason, the worker is not
        ready, but it is healthy, because a restart would change nothing.
    """
    return WorkerHealth(
        ready=assigned and not held and all(lane.open for lane in lanes),
        healthy=all(map(is_healthy, lanes)),
        assigned=assigned,
        held=dict(held),
        lanes=list(lanes),
    )


def is_healthy(lane: LaneHealth) -> bool:
    """Return whether a lane works as expected.

    A lane that is being restored is healthy, however long that takes. A restore that gets no answer from the broker for
    a minute fails, and counts as a failure.
    """
    if lane.failures > MAX_FAILURES:
        return False
    if not lane.open and not lane.failures:
        return True
    return lane.waiting_s <= MAX_WAITING_S
