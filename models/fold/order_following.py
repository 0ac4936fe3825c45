"""Let users follow orders about runs in the third pass: before a step of the user, and before a timer of the user."""

from __future__ import annotations

from models.fold.decision_timers import DecisionTimers, Release
from models.fold.effects import StepEffects
from models.fold.failures import Cause, StepFailed
from models.fold.known_failures import KnownFailures
from models.fold.live_user import RUNS, LiveUser
from models.fold.outputs import count_effects, encode_effects
from models.fold.piece import Piece, Step
from models.fold.reactions import Reactions
from models.fold.run_orders import REACH
from models.profile.ledger import NEVER, Timer


class OrderFollowing:
    """The following of orders in one piece.

    Parameters
    ----------
    piece
        The piece.
    reactions
        The reactions to steps.
    timers
        The timers that decisions set.
    failures
        The failures of the piece's last step, if it is known to fail.
    """

    def __init__(self, piece: Piece, reactions: Reactions, timers: DecisionTimers, failures: KnownFailures) -> None:
        self._piece = piece
        self._reactions = reactions
        self._timers = timers
        self._failures = failures
        self._has_orders = bool(piece.versions.journeys.orders.orders)
        self._has_schedules = bool(piece.versions.journeys.schedules)

    def __repr__(self) -> str:
        """Show whether there are orders."""
        return f"OrderFollowing({self._has_orders})"

    def follow_before(self, user: LiveUser, number: int, cause: Cause, release: Release | None = None) -> bool:
        """Let a user follow the first open order before a step; return whether there was one.

        The timers that have come due so are fired before that step, like all timers. A timer that is due before the
        order fires first.

        Parameters
        ----------
        user
            The user.
        number
            Number of the step.
        cause
            What identifies the step, or the timer.
        release
            The timer that is about to fire, and fires later if there was an order; ``None`` for a step.
        """
        if not self._has_orders or cause in self._failures.errors:
            return False
        at = self._reactions.next_order(user)
        if at == NEVER or (release is not None and release.entry[0] < at):
            return False
        try:
            effects = StepEffects()
            step = Step(user, number - 1, at, None, Timer(at, REACH), self._piece.row_before(user, number))
            changed_at = self._reactions.settle(step, effects, at)
            if changed_at:
                has_runs = user.ledger.runs is not None and bool(user.ledger.runs.active)
                is_member = self._has_schedules and RUNS in user.decided  # the timer may be that of an entry
                self._timers.set(user, RUNS, changed_at if has_runs or is_member else NEVER, number - 1)
            if effects.has_moved_pending:
                self._timers.schedule_pending(user, step)
            records = encode_effects(user.key, effects)
        except Exception as error:
            raise StepFailed(number, error, cause, is_release=release is not None) from error
        count_effects(effects, self._piece.outputs.counts)
        self._piece.outputs.add_released(number, records)
        if release is not None:
            self._timers.put_back(release)
        return True

    def rejects(self, step: Step) -> bool:
        """Reject the step at which a user is reached if it is known to fail; return whether it is."""
        cause = self._piece.cause_of(step)
        error = self._failures.meet(cause)
        if error is not None:
            outputs = self._piece.outputs
            outputs.add_decided(step.number, outputs.rejected_release(cause, error, step.now))
        return error is not None
