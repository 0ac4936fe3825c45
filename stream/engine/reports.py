"""Reports of lanes: frozen values, so that no other module needs a reference to a lane."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Phase(enum.Enum):
    """Phases of a lane.

    ``WAITING``: for the assignment of partitions, before it takes its partition over. ``FENCING``: it shuts the
    previous owner out. ``RESTORING``: it reads its committed state. ``SEEKING``: it moves the consumer to its position.
    ``READING``: it reads and computes. ``WRITING``: it waits for the broker to acknowledge a write. ``BACKING_OFF``: it
    pauses after a failure. ``ENDED``: it is closed, or the partition has another owner.
    """

    WAITING = "waiting"
    FENCING = "fencing"
    RESTORING = "restoring"
    SEEKING = "seeking"
    READING = "reading"
    WRITING = "writing"
    BACKING_OFF = "backing off"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class LaneReport:
    """State of one lane at one moment.

    Attributes
    ----------
    topic, partition
        Logical topic, and the number of the partition.
    phase
        Present phase of the lane.
    is_open
        Whether it has its state, and can commit.
    position
        Offset of the next record after the last commit; ``None`` while nothing is restored.
    high_watermark
        End of the partition, as the last fetch reported it; ``None`` before the first.
    lag
        Number of records from the position to the high watermark; ``None`` if either is unknown.
    seconds_since_commit
        Seconds since the last commit, or since the last opening if it came later and after no failure.
    failures
        Number of consecutive runs that ended without a commit.
    is_full
        Whether its agent wants no records for now.
    buffered
        Number of fetched records that its agent has not received.
    waiting_on_dependency
        Whether it waits on something with its own timeout: back-off, a broker response, a restore, or a provider that
        must take messages first.
    pulse
        A value that changes whenever the lane makes progress. While there is nothing to read, each answer of the broker
        to a fetch of its partition is progress.
    """

    topic: str
    partition: int
    phase: Phase
    is_open: bool
    position: int | None
    high_watermark: int | None
    lag: int | None
    seconds_since_commit: float
    failures: int
    is_full: bool = False
    buffered: int = 0
    waiting_on_dependency: bool = False
    pulse: object = None

    @property
    def is_idle(self) -> bool:
        """Whether no record waits for this process: all is read, or a provider must take messages first."""
        return self.is_full or (self.is_open and self.lag == 0)


class CommitReport(NamedTuple):
    """One commit of a lane.

    Attributes
    ----------
    topic
        Logical topic.
    records
        Number of records in the batches that it completed.
    seconds
        How long the commit took, seconds.
    compute_seconds
        Seconds between the last batch that the agent received and the outputs that it yielded.
    oldest_stamp
        Broker timestamp of the first of those records, milliseconds; ``None`` if there are none.
    counts
        Increments of metrics, from the agent.
    broadcasts
        Control records that follow the commit.
    """

    topic: str
    records: int
    seconds: float
    compute_seconds: float
    oldest_stamp: int | None
    counts: Mapping[tuple[str, ...], float]
    broadcasts: Sequence[tuple[bytes, bytes]]
