"""The part of the first pass that campaigns need: which steps have to judge their user first.

The audience of a campaign is that of its start. A user whose turn has not come is judged before the first step that
could change something. All others are judged when their turn comes. A user who was first seen after the order is not in
the audience, and is marked so at the first step.
"""

from __future__ import annotations

from models.engage.campaigns.orders import Order
from models.fold.live_user import LiveUser
from models.fold.piece import Piece, Step
from models.profile.ledger import Timer

CAMPAIGN = "campaign"
"""Kind of the partition's timers at which the turn of a user comes; the argument is the id of the order."""


def begin(piece: Piece, step: Step) -> None:
    """Let a step judge its user first for each campaign in which the user's turn has not come."""
    if piece.walks is None or not piece.walks.open:
        return
    user, at = step.user, step.now if step.timer is None else step.timer.due
    if user.is_merged:
        return
    judged = user.judged_orders()
    for order in piece.walks.open:
        if order.id in judged or not (order.is_judged_at_start or user.is_new) or order.has_passed(user.name, at):
            continue
        judged[order.id] = user.is_new
        step.judges = (*step.judges, order)
    if step.judges:
        user.has_steps = True


def has_turn(user: LiveUser, order: Order) -> bool:
    """Return whether a user has a turn: not if first seen after the order, or if the profile has moved to another.

    A user without a turn has no step, because only a fold that was restored has the user in its queue.
    """
    return not user.judged_orders().get(order.id, False) and not user.is_merged


def take_turn(piece: Piece, step: Step, timer: Timer) -> None:
    """Let a step decide about the message of a campaign, because the turn of its user has come."""
    order = piece.versions.campaigns.order(timer.name.partition(":")[2])
    if order is None:
        return
    user = step.user
    judged = user.judged_orders()
    if order.id not in judged:
        judged[order.id] = False
        step.judges = (*step.judges, order)
    step.turn_of = order
    user.has_steps = True
