"""Let the runs of a user follow orders (:mod:`models.fold.run_orders`), before a step of the user acts on them."""

from __future__ import annotations

from msgspec.structs import replace

from models.engage.attribution import ReachedGoal
from models.engage.journeys.orders import RunOrder, released_at, settled
from models.engage.journeys.walking import RunMove, ended_moves, released_move
from models.engage.recipient import Recipient
from models.fold.effects import StepEffects
from models.fold.piece import Piece, Step
from models.fold.user_values import time_zone
from models.profile.ledger import NEVER
from models.profile.runs import Run
from models.profile.signals import Signal, SignalKind

_SIGNALS: dict[str, SignalKind] = {
    "entered": "journey_entered",
    "refused": "journey_refused",
    "converted": "journey_converted",
    "ended": "journey_ended",
}


class RunSettling:
    """The following of orders within one piece.

    Parameters
    ----------
    piece
        The piece.
    """

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._journeys = piece.versions.journeys
        self._orders = piece.versions.journeys.orders

    def __repr__(self) -> str:
        """Show the orders."""
        return f"RunSettling({self._orders!r})"

    def settle(self, step: Step, recipient: Recipient, effects: StepEffects, until: int = NEVER) -> int:
        """Let the runs and the waiting messages of a user follow the orders that they have not followed yet.

        Parameters
        ----------
        step
            The step of the user.
        recipient
            The user as a decision sees the user.
        effects
            The effects of the step; decisions and signals are added.
        until
            Place of the last order to follow, milliseconds.

        Returns
        -------
        int
            Place of the newest order that has changed a run, milliseconds; 0 if none has.
        """
        ledger = recipient.customer.ledger
        if not self._orders.are_open(ledger):
            return 0
        step.user.has_changed = True
        orders = [order for order in self._orders.orders if order.at <= until]
        changed_at = self._settle_runs(step, recipient, effects, orders)
        pending = []
        for one in ledger.pending:
            order = self._orders.release_of(one)
            if order is not None and order.at <= until:
                one = replace(one, until=released_at(one.signal.hex(), order))
                effects.has_moved_pending = True
            pending.append(one)
        ledger.pending = pending
        return changed_at

    def _settle_runs(self, step: Step, recipient: Recipient, effects: StepEffects, orders: list[RunOrder]) -> int:
        ledger = recipient.customer.ledger
        runs = ledger.runs
        if runs is None or not runs.active:
            return 0
        zone = time_zone(recipient.customer.facts.traits, self._piece.versions.configuration)
        active, moves, changed_at, ended = list[Run](), list[RunMove](), 0, set[str]()
        for run in runs.active:
            (progress, at) = settled(run, orders, self._journeys.walked, zone)
            changed_at = max(changed_at, at)
            if progress.ended:
                moves += ended_moves(run, at, progress.ended)
                ended.add(run.id)
                continue
            active.append(progress.run)
            if run.held_since and not progress.run.held_since:
                moves.append(released_move(run, at))
            if progress.run.version != run.version:
                version, held_out = progress.run.version, run.is_held_out
                move = RunMove("moved", run.journey, version, at, run.id, "", held_out, before=run.version)
                moves.append(move)
        ledger.runs = replace(runs, active=tuple(active))
        if ended and ledger.pending:
            effects.decisions += self._piece.versions.planner().recall(ended, recipient)
            effects.has_moved_pending = True
        tell(self._piece, step, moves, effects)
        return changed_at


def tell(piece: Piece, step: Step, moves: list[RunMove], effects: StepEffects) -> None:
    """Count what has happened to runs, and add the signals about it to the effects of a step."""
    for move in moves:
        piece.runs.append(move)
        piece.outputs.count("journey_moves", move.journey, move.kind, move.outcome)
        if move.kind == "converted":
            _reach(piece, move, effects)
        kind = _SIGNALS.get(move.kind)
        if kind is not None:
            value = move.value if isinstance(move.value, int | float) else 0
            signal = Signal(
                kind=kind,
                user=step.user.name,
                at=move.at,
                cause=step.cause,
                name=move.journey,
                origin=move.outcome,
                run=move.run,
                held_out=move.is_held_out,
                value=float(value),
            )
            effects.signals.append(signal)


def _reach(piece: Piece, move: RunMove, effects: StepEffects) -> None:
    """Record the goal of a run, so that its value is counted and its credit given at the end of the step."""
    compiled = piece.versions.journeys.by_version.get(move.version)
    if compiled is not None and compiled.journey.goal is not None:
        name = move.journey
        goal = ReachedGoal(name, False, move.run, f"{name}/", compiled.journey.goal, move.is_held_out)
        effects.reach(goal)
