"""The journeys in a partition, as its owner answers: their versions, and how many runs they have."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.fold.journey_counts import JourneyCounts, key_of, read_counts
from models.fold.versions import CONFIGURATION, Versions


class JourneyState(msgspec.Struct, frozen=True):
    """A journey in one partition, or in several together.

    Attributes
    ----------
    name
        Its name.
    version
        The version that new runs walk; empty for a journey that only older runs walk.
    counts
        Its runs.
    """

    name: str
    version: str
    counts: JourneyCounts


class PartitionJourneys(msgspec.Struct, frozen=True):
    """The journeys in one partition.

    Attributes
    ----------
    partition
        Number of the partition.
    now
        Its clock, milliseconds.
    configuration
        Number of the configuration in use.
    journeys
        Those of the configuration in their sequence, then those that only older runs walk.
    """

    partition: int
    now: int
    configuration: int
    journeys: list[JourneyState]


def journeys_of(state: Restored, versions: Versions, now: int) -> PartitionJourneys:
    """Return the journeys of a partition with their counts."""
    in_use = versions.journeys
    names = {one.journey.name: one.version for one in in_use.current}
    for older in in_use.older:
        names.setdefault(older.name, "")
    found = [
        JourneyState(name, version, read_counts(state.records.get(key_of(name)))) for name, version in names.items()
    ]
    return PartitionJourneys(state.partition, now, versions.number(CONFIGURATION), found)
