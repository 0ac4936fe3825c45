"""The timers that decisions set, in the third pass over a piece: those that are due within the piece fire there."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from models.fold.due_times import Entry
from models.fold.failures import Cause
from models.fold.live_user import PENDING, LiveUser
from models.fold.piece import Piece, Step
from models.profile.ledger import NEVER


class Release(NamedTuple):
    """A timer that a decision of the piece has set, and that is due within the piece.

    Attributes
    ----------
    number
        Number of the step before which it fires.
    entry
        Its due time and the key of its user.
    name
        Its name.
    now
        The partition's clock at that place, milliseconds.
    """

    number: int
    entry: Entry
    name: str
    now: int


class DecisionTimers:
    """The timers that the decisions of one piece have set.

    Parameters
    ----------
    piece
        The piece, after its first pass.
    """

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._waiting: list[Release] = []
        self._users: dict[bytes, LiveUser] = {}

    def __repr__(self) -> str:
        """Show the amount."""
        return f"DecisionTimers({len(self._waiting)} due within the piece)"

    def set(self, user: LiveUser, name: str, due: int, after: int) -> None:
        """Set or move a timer of a user after the step of a number; ``NEVER`` cancels it."""
        if user.decided.get(name, NEVER) == due:
            return
        user.has_changed = True
        if due == NEVER:
            del user.decided[name]
            return
        user.decided[name] = due
        place = self._piece.timers.place_of((due, user.key), name, after, self._piece.number)
        if place is not None:
            self._users[user.key] = user
            heapq.heappush(self._waiting, Release(place.number, (due, user.key), name, place.now))

    def due_before(self, number: int) -> Iterator[tuple[LiveUser, Release]]:
        """Yield the timers that fire before the step of this number, in their order; a timer that was moved is not."""
        while self._waiting and self._waiting[0].number <= number:
            release = heapq.heappop(self._waiting)
            user = self._users[release.entry[1]]
            if user.decided.get(release.name) == release.entry[0]:
                yield user, release

    def schedule_pending(self, user: LiveUser, step: Step) -> None:
        """Set one timer for all pending messages, at the earliest end of a wait.

        A message that a pause holds needs none once its wait has ended, because the resumption releases it. Before,
        it needs one, because the pause may end earlier than the wait.
        """
        planner = self._piece.versions.planner()
        waiting = [one.until for one in user.ledger.pending if one.until > step.now or not planner.holds(one)]
        self.set(user, PENDING, max(step.now + 1, min(waiting)) if waiting else NEVER, step.number)

    def put_back(self, release: Release) -> None:
        """Let a timer fire after those that are due before it."""
        heapq.heappush(self._waiting, release)

    def cause_of(self, release: Release) -> Cause:
        """Return what identifies a timer."""
        return Cause(self._piece.timers.offset_at(release.number), release.name, *release.entry)
