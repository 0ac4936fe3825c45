"""Specifications of agents: the topics that an agent reads, and the way in which its outputs become durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from models.batch import Batch, Outputs, Restored

Agent = Callable[[AsyncIterator[Batch]], AsyncIterator[Outputs]]
Wake = Callable[[], None]
"""Asks the lane of an agent for a batch, with or without records."""
AgentFactory = Callable[[Restored, Wake], Agent]
"""Called for each run of a lane, with its restored state; returns the async generator function over the batches."""
WriteToPartition = Callable[[list[tuple[bytes, bytes | None]]], Awaitable[None]]
"""Writes records to one partition of the topic that an agent reads."""
OnRevoked = Callable[[int, WriteToPartition], None]
"""Called when a partition was reassigned, with its number and a function that writes to it."""

MAX_BATCH_RECORDS = 5_000
"""Maximum number of records in a batch, unless a specification says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """An agent without state: its outputs are acknowledged, then the group's offset is committed.

    Attributes
    ----------
    name
        Name of the agent.
    topics
        Logical names of the topics that it reads, at least one. Each of their partitions becomes a lane.
    agent
        Makes the agent.
    aligned
        Logical topics that are partitioned like the topic read. Outputs for them go to the lane's partition.
    pace_s
        Minimum time between two batches, seconds. Records that arrive meanwhile are read together.
    max_records
        Maximum number of records in a batch.
    """

    name: str
    topics: tuple[str, ...]
    agent: AgentFactory
    aligned: frozenset[str] = frozenset()
    pace_s: float = 0.0
    max_records: int = MAX_BATCH_RECORDS

    def __post_init__(self) -> None:
        if not self.topics:
            raise ValueError(f"{self.name} reads no topic")

    @property
    def has_state(self) -> bool:
        """Whether the agent has committed state: never."""
        return False

    @property
    def has_effects(self) -> bool:
        """Whether the agent receives wake-ups: never."""
        return False

    def follows_wall_clock(self, restored: Restored) -> bool:  # noqa: ARG002 - the same question as of an agent with state
        """Return whether the lane moves the clock of its log: never."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stateful:
    """An agent with state: outputs, state and position commit together.

    Attributes
    ----------
    name
        Name of the agent.
    topic
        Logical name of the topic that it reads. Each partition becomes a lane.
    agent
        Makes the agent.
    state
        Logical name of the compacted topic of its state. Its partition p belongs to partition p of the topic read.
    aligned
        Logical topics that are partitioned like the topic read. Outputs for them go to the lane's partition.
    pace_s
        Minimum time between two batches, seconds. Records that arrive meanwhile are read together.
    max_records
        Maximum number of records in a batch.
    wall_clock
        Returns for a lane's state whether its log follows the wall clock. Then the lane appends a tick to its partition
        when a timer is due and nothing else arrives. With ``None``, no log follows the wall clock.
    has_effects
        Whether the agent has effects, and timers by the wall clock. Then it receives wake-ups: batches without records.
    on_revoked
        Called when a partition was reassigned, with its number and a function that writes to it. So results of calls in
        flight reach the new owner. ``None`` if the agent has no such results.
    """

    name: str
    topic: str
    agent: AgentFactory
    state: str
    aligned: frozenset[str] = frozenset()
    pace_s: float = 0.0
    max_records: int = MAX_BATCH_RECORDS
    wall_clock: Callable[[Restored], bool] | None = None
    has_effects: bool = False
    on_revoked: OnRevoked | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """Logical names of the topics that it reads: one."""
        return (self.topic,)

    @property
    def has_state(self) -> bool:
        """Whether the agent has committed state: always."""
        return True

    def follows_wall_clock(self, restored: Restored) -> bool:
        """Return whether the lane of this state moves the clock of its log."""
        return self.wall_clock is not None and self.wall_clock(restored)


AgentSpec = Relay | Stateful
"""Either kind of agent; :func:`stream.transport.app.create_app` accepts both."""
