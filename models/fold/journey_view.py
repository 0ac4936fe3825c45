"""The journeys in a partition, as its owner answers: their versions, and how many runs they have."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.configuration.compiled import send_rules
from models.engage.planner import journey_of
from models.fold.goal_outline import JourneyOutline, outline_of
from models.fold.journey_counts import JourneyCounts, key_of, read_counts
from models.fold.message_counts import MessageCounts, message_counts_of
from models.fold.run_orders import Pause
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
    pause
        The pause of the journey; ``None`` if it is not paused.
    is_paused_anywhere
        Whether at least one of the partitions has paused it.
    messages
        Its messages, by ``step@channel``.
    outline
        Its goal, and the arms of its steps; ``None`` for a journey that only older runs walk.
    """

    name: str
    version: str
    counts: JourneyCounts
    pause: Pause | None = None
    is_paused_anywhere: bool = False
    messages: dict[str, MessageCounts] = {}
    outline: JourneyOutline | None = None


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
    reaches_until
        Time by which all runs have followed the newest order, milliseconds; ``None`` if they have.
    """

    partition: int
    now: int
    configuration: int
    journeys: list[JourneyState]
    reaches_until: int | None = None


def journeys_of(state: Restored, versions: Versions, now: int) -> PartitionJourneys:
    """Return the journeys of a partition with their counts."""
    in_use = versions.journeys
    names = {one.journey.name: one.version for one in in_use.current}
    for older in in_use.older:
        names.setdefault(older.name, "")
    rules = {**send_rules(one.journey for one in in_use.current), **in_use.older_sends}
    orders, outlines = in_use.orders, {one.journey.name: outline_of(one.journey) for one in in_use.current}
    found = [
        JourneyState(
            name,
            version,
            read_counts(state.records.get(key_of(name))),
            orders.paused.get(name),
            name in orders.paused,
            message_counts_of(state.records, [rule for rule in rules if journey_of(rule) == name]),
            outlines.get(name),
        )
        for name, version in names.items()
    ]
    reached = orders.reached
    until = None if reached is None or reached.is_complete or now > reached.until else reached.until
    return PartitionJourneys(state.partition, now, versions.number(CONFIGURATION), found, until)
