"""The journeys of the demo, from the counts that the fold keeps in each partition; no I/O."""

from __future__ import annotations

import msgspec

from models.engage.lift import Group, lift_of_rates
from models.fold.journey_counts import KEY, JourneyCounts, joined_counts, read_counts


class JourneyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one journey.

    Attributes
    ----------
    entered, waiting
        Number of runs that have begun, and of those that are still under way.
    ended
        Number of runs that have ended, by reason.
    messaged, messaged_goals
        Number of runs that may send messages, and of those that have reached the goal.
    control, control_goals
        The same of the control group, whose runs send nothing.
    lift, low, high
        What the messages add to the share of runs that reach the goal, and the bounds of the 95% interval. ``None`` as
        long as a group has too few runs (:mod:`models.engage.lift`).
    """

    entered: int
    waiting: int
    ended: dict[str, int]
    messaged: int
    messaged_goals: int
    control: int
    control_goals: int
    lift: float | None = None
    low: float | None = None
    high: float | None = None


class JourneyTally:
    """The newest counts of all journeys in all partitions."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str], JourneyCounts] = {}

    def __repr__(self) -> str:
        """Name the journeys."""
        return f"JourneyTally({', '.join(sorted({name for _, name in self._counts}))})"

    def add(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Keep the stored counts of a journey in a partition; other records change nothing."""
        if key.startswith(KEY) and value is not None:
            self._counts[partition, key.removeprefix(KEY).decode()] = read_counts(value)

    def figures(self) -> dict[str, JourneyFigures]:
        """Return the figures by journey, sorted by name."""
        names = sorted({name for _, name in self._counts})
        return {name: figures_of([one for (_, other), one in self._counts.items() if other == name]) for name in names}


def figures_of(parts: list[JourneyCounts]) -> JourneyFigures:
    """Return the figures of a journey from its counts in each partition."""
    found = joined_counts(parts)
    messaged = Group(found.entered - found.held_out, found.converted - found.converted_held_out)
    control = Group(found.held_out, found.converted_held_out)
    lift = lift_of_rates(messaged, control)
    return JourneyFigures(
        entered=found.entered,
        waiting=sum(found.active.values()),
        ended=dict(sorted(found.ended.items(), key=lambda pair: (-pair[1], pair[0]))),
        messaged=messaged.users,
        messaged_goals=messaged.converted,
        control=control.users,
        control_goals=control.converted,
        lift=None if lift.low is None else lift.difference,
        low=lift.low,
        high=lift.high,
    )
