"""Everything that all lanes of a process share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from faust.types import TP

from stream.cluster.writer import Writer
from stream.engine.agent_spec import AgentSpec
from stream.engine.fetches import Fetcher
from stream.engine.reports import CommitReport


class Observer(Protocol):
    """Receiver of the events of lanes, for metrics."""

    def opened(self, topic: str, seconds: float) -> None:
        """Called when a lane has taken its partition over and restored its state within ``seconds``."""

    def committed(self, report: CommitReport) -> None:
        """Called when a commit is durable."""

    def failed(self, topic: str, error: BaseException) -> None:
        """Called when a run of a lane has ended with an error, or when records were deleted before it read them."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Clocks of lanes, replaced in tests.

    Attributes
    ----------
    wall
        Seconds since the epoch; used only to decide whether a timer is due.
    monotonic
        Seconds of the monotonic clock, for durations.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class LaneTimes:
    """Durations that lanes use, seconds.

    Attributes
    ----------
    idle_commit_s
        How long a lane waits for records before it commits the position of batches that yielded nothing.
    min_backoff_s, max_backoff_s
        Pause after the first failure; it doubles with each further failure up to the maximum.
    steady_s
        A run of a lane that lasts at least this long resets its failure count. Longer than any broker timeout.
    tick_again_s
        Minimum time between two ticks for the same timer. A second tick is needed if the timer was not due yet by the
        broker's clock, because that clock is slow.
    max_rest_s
        Maximum rest of a lane after a commit. A lane rests for as long as its last commit took. On an idle machine a
        commit takes a few milliseconds, and so does the rest. On a busy machine commits take longer, because those of
        all lanes compete for the processor. There the rest makes transactions fewer and larger.
    """

    idle_commit_s: float = 1.0
    min_backoff_s: float = 0.2
    max_backoff_s: float = 10.0
    steady_s: float = 90.0
    tick_again_s: float = 1.0
    max_rest_s: float = 0.025

    def backoff_s(self, failures: int) -> float:
        """Return the pause after this many consecutive failures.

        Examples
        --------
        >>> [LaneTimes().backoff_s(failures) for failures in (1, 2, 3, 100)]
        [0.2, 0.4, 0.8, 10.0]
        """
        return min(self.min_backoff_s * 2.0 ** min(failures - 1, 10), self.max_backoff_s)


@dataclass(frozen=True, slots=True)
class LaneContext:
    """Everything that all lanes of a process share.

    Attributes
    ----------
    fetcher
        Source of the records.
    writer
        The process's idempotent producer.
    observer
        Receives the events of lanes.
    on_ready
        Called when a lane has become ready for records, or is no longer ready.
    on_fenced
        Called when another process owns a lane's partition: this process must end.
    clocks, times
        Clocks and durations.
    """

    fetcher: Fetcher
    writer: Writer
    observer: Observer
    on_ready: Callable[[TP, bool], None]
    on_fenced: Callable[[TP], None]
    clocks: Clocks = field(default_factory=Clocks)
    times: LaneTimes = field(default_factory=LaneTimes)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One partition, and the agent that processes it.

    Attributes
    ----------
    tp
        Physical topic and partition.
    topic
        Logical topic.
    spec
        The agent, and how it commits.
    """

    tp: TP
    topic: str
    spec: AgentSpec

    @property
    def name(self) -> str:
        """Name of the lane, for logs: logical topic and partition."""
        return f"{self.topic}-{self.tp.partition}"
