"""Parameters of a comparison with peers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Parameters of a measurement of several systems on the same topic.

    Attributes
    ----------
    events
        Number of events in the topic.
    runs
        Number of runs of each system.
    sides
        Names of the systems.
    partitions
        Number of partitions of the topic.
    seed
        Seed of the load.
    """

    events: int
    runs: int
    sides: tuple[str, ...]
    partitions: int
    seed: int
