"""The stages of the lifecycle in a partition, as its owner answers."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.fold.stages import STAGES_KEY, StagesInUse, read_stages
from models.fold.versions import Versions


class PartitionStages(msgspec.Struct, frozen=True):
    """The users by stage, and their moves, in one partition.

    Attributes
    ----------
    partition
        Number of the partition.
    now
        Its clock, milliseconds.
    names
        All stages in their sequence; empty without a lifecycle.
    stages
        The counts.
    waiting, adopts_until
        Number of users who have not come to the newest conditions or gaps yet. The time by which all have, in ms;
        ``None`` if they have.
    """

    partition: int
    now: int
    names: list[str]
    stages: StagesInUse
    waiting: int
    adopts_until: int | None


def stages_of(state: Restored, versions: Versions, now: int) -> PartitionStages:
    """Return the users by stage of a partition, and their moves by day."""
    lifecycle, conditions = versions.configuration.lifecycle, versions.conditions
    names = [] if lifecycle is None else list(lifecycle.stages)
    stages = read_stages(state.records.get(STAGES_KEY))
    if conditions is None or not conditions.waiting:
        return PartitionStages(state.partition, now, names, stages, 0, None)
    return PartitionStages(state.partition, now, names, stages, conditions.waiting, conditions.until)
