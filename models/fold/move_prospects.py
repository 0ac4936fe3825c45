"""Numbers of runs that would go on, wait shorter, or end if runs were moved to other versions now."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.configuration.journeys.definition import Journey
from models.configuration.journeys.versions import version_of
from models.engage.journeys.clauses import RunClauses
from models.engage.journeys.moving import MoveTarget, moved
from models.engage.journeys.orders import settled
from models.fold.user_values import time_zone
from models.fold.versions import Versions
from models.profile.runs import Run
from models.profile.state import Customer


class MoveCounts(msgspec.Struct):
    """The runs of one journey under way in other versions than the wanted one.

    Attributes
    ----------
    goes_on
        Number of runs that wait as long as before, or longer.
    shorter
        Number of those that wait shorter.
    due
        Number of those whose wait would be over; they are released spread over some time.
    step_removed
        Number of those that end, because their step was removed.
    """

    goes_on: int = 0
    shorter: int = 0
    due: int = 0
    step_removed: int = 0

    @property
    def under_way(self) -> int:
        """Number of all of these runs."""
        return self.goes_on + self.shorter + self.due + self.step_removed

    def add(self, other: MoveCounts) -> None:
        """Add the runs of another partition."""
        self.goes_on += other.goes_on
        self.shorter += other.shorter
        self.due += other.due
        self.step_removed += other.step_removed


class MoveQuestion(msgspec.Struct, frozen=True):
    """The question what a move would do.

    Attributes
    ----------
    journeys
        The wanted journeys, in their compiled form.
    removed
        Names of journeys that the wanted configuration does not have.
    """

    journeys: tuple[Journey, ...]
    removed: tuple[str, ...] = ()


class PartitionMoves(msgspec.Struct, frozen=True):
    """The answer of one partition: counts by journey, of those that have runs in other versions.

    Attributes
    ----------
    partition
        Number of the partition.
    now
        Its clock, milliseconds.
    journeys
        The counts, by the name of the journey.
    """

    partition: int
    now: int
    journeys: dict[str, MoveCounts]


class MoveProspects:
    """The counting of runs in one partition.

    Parameters
    ----------
    question
        The question.
    versions
        The versions in use.
    now
        The partition's clock, milliseconds.

    Attributes
    ----------
    counts
        The counts so far, by journey.
    """

    def __init__(self, question: MoveQuestion, versions: Versions, now: int) -> None:
        self.counts: dict[str, MoveCounts] = {}
        self._versions = versions
        self._now = now
        targets = (MoveTarget(one, version_of(one), RunClauses(one)) for one in question.journeys)
        self._targets: dict[str, MoveTarget | None] = {one.journey.name: one for one in targets}
        self._targets |= dict.fromkeys(question.removed)

    def __repr__(self) -> str:
        """Show the counts."""
        return f"MoveProspects({self.counts!r})"

    def add(self, customer: Customer) -> None:
        """Count the runs of a user."""
        runs = customer.ledger.runs
        for run in self._wanted(() if runs is None else runs.active):
            zone = time_zone(customer.facts.traits, self._versions.configuration)
            progress = settled(
                run, self._versions.journeys.orders.orders, self._versions.journeys.walked, zone
            ).progress
            target = self._targets[run.journey]
            if progress.ended or (target is not None and progress.run.version == target.version):
                continue
            counts = self.counts.setdefault(run.journey, MoveCounts())
            walked = self._versions.journeys.walked(progress.run.version)
            if target is None or walked is None:
                counts.step_removed += 1
                continue
            after = moved(progress.run, walked.journey, target, self._now, 0, zone)
            if after.ended:
                counts.step_removed += 1
            elif after.run.until <= self._now + 1 < progress.run.until:
                counts.due += 1
            elif after.run.until < progress.run.until:
                counts.shorter += 1
            else:
                counts.goes_on += 1

    def _wanted(self, runs: Iterable[Run]) -> Iterable[Run]:
        return (run for run in runs if run.journey in self._targets)
