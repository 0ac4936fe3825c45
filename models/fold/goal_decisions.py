"""Goals in the third pass: the money of the goals that an event has reached, and of orders that were counted before."""

from __future__ import annotations

from models.engage.attribution import attribute, follow_order
from models.fold.effects import StepEffects
from models.fold.piece import Piece, Step


def follow_goals(piece: Piece, step: Step, effects: StepEffects) -> None:
    """Let what was counted follow the order of a step, and count the goals that its event has reached.

    Messages that the step itself has sent came after the event, so they have no credit for it.
    """
    event = step.event
    if event is None or (step.order is None and effects.reached is None):
        return
    ledger = step.user.ledger
    before = known = ledger.conversions
    if step.order is not None and event.order is not None and known:
        followed = follow_order(known, event.order, step.order, step.at)
        known = followed.conversions
        piece.values += followed.values
        piece.messages += followed.credits
    if effects.reached is not None:
        new = {one.id for one in effects.decisions if one.outcome == "sent"}
        sent = [message for message in ledger.sent if message.id not in new]
        found = attribute(known, sent, effects.reached, event, step.order, step.at)
        known = found.conversions
        piece.values += found.values
        piece.messages += found.credits
    if known is not before and known != before:
        ledger.conversions = known
        step.user.has_changed = True
