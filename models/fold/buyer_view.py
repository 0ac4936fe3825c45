"""The scores of buyers in a partition, as its owner answers: the cut points in use, and who still has older ones."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.fold.buyer_counts import BUYERS_KEY, ScoredBuyers, read_buyers
from models.fold.versions import Versions
from models.learning.population import Population


class PartitionBuyers(msgspec.Struct, frozen=True):
    """The buyers with scores in one partition.

    Attributes
    ----------
    partition
        Number of the partition.
    now
        Its clock, milliseconds.
    version
        Version of the cut points in use; 0 before any.
    population
        The cut points, and the gaps between purchases; ``None`` before any.
    buyers
        The counts.
    """

    partition: int
    now: int
    version: int
    population: Population | None
    buyers: ScoredBuyers


def buyers_of(state: Restored, versions: Versions, now: int) -> PartitionBuyers:
    """Return the buyers with scores in a partition, counted by the version of their cut points."""
    buyers = read_buyers(state.records.get(BUYERS_KEY))
    return PartitionBuyers(state.partition, now, versions.population_number, versions.population, buyers)
