"""One line of the map of agents: from which topics, through which agent, how what it yields becomes durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from models.batch import Batch, Outputs, Restored

Agent = Callable[[AsyncIterator[Batch]], AsyncIterator[Outputs]]
Wake = Callable[[], None]
"""Asks the lane of an agent for a batch, with or without records."""
AgentFactory = Callable[[Restored, Wake], Agent]


@dataclass(frozen=True, slots=True)
class Edge:
    """What :func:`stream.transport.app.create_app` wires; every name of a topic is a logical one.

    Attributes
    ----------
    name
        The agent's.
    topics
        What it reads; each of their partitions becomes a lane. A lane with state reads one topic.
    agent
        Called for each life of a lane with what was restored; gives the async generator function that is then called
        with the batches.
    kind
        ``transactional``: outputs, state and position commit together. ``relay``: no state; outputs are acknowledged,
        then the group's offset moves.
    state
        The compacted topic of its state; partition p of it belongs to partition p of the topic.
    aligned
        Topics that are partitioned like the one read: outputs for them go to the lane's own partition.
    pace_s
        Least number of seconds between two batches; what arrives meanwhile is taken together.
    max_records
        Most records of a batch.
    wall_clock
        Says of a lane's state whether its log goes by the wall clock; then the lane appends a tick to its own partition
        when a timer is due and nothing else arrives. ``None``: never.
    beats
        Whether the agent has effects, and timers that go by the wall clock: it gets batches without records.
    gone
        Called when a partition has become somebody else's, with its number and a function that writes records to it:
        for what effects that were begun here give from now on. ``None``: nobody wants to know.
    """

    name: str
    topics: tuple[str, ...]
    agent: AgentFactory
    kind: Literal["transactional", "relay"] = "transactional"
    state: str | None = None
    aligned: frozenset[str] = frozenset()
    pace_s: float = 0.0
    max_records: int = 5_000
    wall_clock: Callable[[Restored], bool] | None = None
    beats: bool = False
    gone: Callable[[int, Callable[[list[tuple[bytes, bytes | None]]], Awaitable[None]]], None] | None = None

    def __post_init__(self) -> None:
        if not self.topics:
            raise ValueError(f"{self.name} reads no topic")
        if self.kind == "transactional" and (self.state is None or len(self.topics) != 1):
            raise ValueError(f"{self.name}: a transactional lane needs a state topic, and reads exactly one topic")
        if self.kind == "relay" and self.state is not None:
            raise ValueError(f"{self.name}: a relay keeps no state")
