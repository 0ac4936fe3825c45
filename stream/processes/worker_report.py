"""The report that a worker sends to its supervisor every second; a part of it answers ``/health`` and ``/ready``."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class LaneHealth(msgspec.Struct, frozen=True):
    """State of one lane, for people and programs.

    Attributes
    ----------
    topic, partition
        Logical topic, and the number of the partition.
    open
        Whether it has its state, and can commit.
    position
        Offset of the next record after the last commit; ``None`` while nothing is restored.
    lag
        Number of records up to the high watermark of the last fetch; ``None`` if it is unknown.
    idle_s
        Seconds since its last commit.
    waiting_s
        Seconds that records have waited without a commit.
    failures
        Number of failures since the last commit.
    """

    topic: str
    partition: int
    open: bool
    position: int | None
    lag: int | None
    idle_s: float
    waiting_s: float
    failures: int


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Readiness and health of a worker, with the reasons.

    Attributes
    ----------
    ready
        Whether it has its partitions, and all of them are open.
    healthy
        Whether all of its lanes make progress.
    assigned
        Whether its consumer group has assigned partitions to it.
    held
        Reasons for which it holds its messages: a description by name.
    lanes
        Its lanes.
    """

    ready: bool
    healthy: bool
    assigned: bool = False
    held: dict[str, str] = {}
    lanes: list[LaneHealth] = []


class WorkerReport(WorkerHealth, frozen=True, kw_only=True):
    """Report of a worker.

    Attributes
    ----------
    group, member
        Id of its consumer group, and the name that the group gave it; empty while it is no member.
    metrics, lookups
        Ports of its metrics and its lookups; ``None`` if it has no such port.
    providers
        State of each channel, in a worker that delivers.
    """

    group: str = ""
    member: str = ""
    metrics: int | None = None
    lookups: int | None = None
    providers: dict[str, dict[str, Any]] | UnsetType = UNSET
