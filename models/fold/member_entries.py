"""Entries of users who are members of a segment already: at a time of day, or when the journey is applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from models.conditions.clauses import SegmentClause
from models.conditions.periods import NEVER
from models.configuration.journeys.definition import ScheduleTrigger, SegmentTrigger
from models.engage.journeys.entering import EntryCause, entered_number
from models.engage.journeys.schedules import delay_of, next_entry
from models.engage.journeys.walking import CompiledJourney, Walk
from models.fold.clause_steps import instant_of
from models.fold.piece import Piece, Step
from models.units import DAY

MAX_LATE_MS = DAY
"""Maximum time by which an entry may be late, milliseconds.

Times of day that passed earlier, while the clock stood, are passed over.
"""


class MemberEntries:
    """The entries of members in one piece.

    Parameters
    ----------
    piece
        The piece.

    Attributes
    ----------
    schedules, takers
        The journeys that members enter at a time of day, and those that they enter when the journey is applied.
    """

    def __init__(self, piece: Piece) -> None:
        self.schedules = piece.versions.journeys.schedules
        self.takers = piece.versions.journeys.takers
        self._conditions = piece.versions.conditions

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"MemberEntries({len(self.schedules)} schedules, {len(self.takers)} takers)"

    def entered(self, step: Step, walk: Walk, others: Collection[str]) -> Iterator[tuple[CompiledJourney, EntryCause]]:
        """Yield the journeys that the user of a step enters as a member, with the trigger.

        Parameters
        ----------
        step, walk
            The step, and the walk of the user's runs at it.
        others
            Names of the journeys that a signal of the step lets the user enter.
        """
        if step.adoption is not None:
            at = min(instant_of(step), step.now)
            for one in self.takers:
                if one.journey.name not in others and self._is_taken(one, step, walk):
                    yield one, EntryCause(f"timer:existing:{at}", at)
        for one in self.schedules:
            if walk.at > step.now - MAX_LATE_MS and self._due_of(one, walk, walk.at - 1) == walk.at:
                yield one, EntryCause(f"timer:schedule:{walk.at}", walk.at)

    def next_due(self, step: Step, walk: Walk) -> int:
        """Return the next instant at which the user enters a journey by schedule; ``NEVER`` if there is none."""
        after = max(walk.at, step.now - MAX_LATE_MS)
        return min((self._due_of(one, walk, after) for one in self.schedules), default=NEVER)

    def _due_of(self, one: CompiledJourney, walk: Walk, after: int) -> int:
        journey, on = one.journey, one.journey.enter.on
        if self._conditions is None or not isinstance(on, ScheduleTrigger):
            return NEVER
        if walk.truth(SegmentClause(on.segment), None) is not True:
            return NEVER
        last = walk.runs.entered.get(entered_number(journey.name, ""))
        delay = delay_of(journey.name, walk.user, self._conditions.change.users)
        return next_entry(journey.enter, last, after, walk.zone, delay)

    def _is_taken(self, one: CompiledJourney, step: Step, walk: Walk) -> bool:
        on, conditions = one.journey.enter.on, self._conditions
        if conditions is None or not isinstance(on, SegmentTrigger):
            return False
        if walk.truth(SegmentClause(on.segment), None) is not True:
            return False
        is_new = walk.truth(SegmentClause(on.segment, 1), None) is not True
        return conditions.takes(one.journey.name, step.adopts_from, is_new=is_new)
