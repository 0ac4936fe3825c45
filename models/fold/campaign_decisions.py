"""Campaigns in the third pass: users are judged, messages are proposed to the planner, and goals are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from models.conditions.properties import value_of
from models.conditions.recording import RecordedView
from models.engage.attribution import ReachedGoal
from models.engage.campaigns.audience import truth_of
from models.engage.campaigns.goals import converted
from models.engage.campaigns.moves import CampaignMove, moves_of
from models.engage.campaigns.orders import Order, is_held_out
from models.engage.decisions import Decision
from models.engage.recipient import Recipient
from models.engage.user_zone import zone_of
from models.fold.clause_steps import instant_of
from models.fold.effects import StepEffects
from models.fold.piece import Piece, Step
from models.fold.segment_decisions import SegmentDecisions
from models.places import zones
from models.profile.campaign_marks import CampaignMark, MarkState, mark_of, with_mark
from models.profile.ledger import Ledger, Pending
from models.profile.signals import Signal

_decode_signal = msgspec.json.Decoder(Signal).decode


class CampaignDecisions:
    """The decisions of one piece about campaigns.

    Parameters
    ----------
    piece
        The piece.
    conditions
        The decisions about segments, which answer the conditions of audiences.
    recipient
        Returns the user of a step as a decision sees the user.
    """

    def __init__(self, piece: Piece, conditions: SegmentDecisions, recipient: Callable[[Step], Recipient]) -> None:
        self._piece = piece
        self._conditions = conditions
        self._recipient = recipient

    def __repr__(self) -> str:
        """Show the campaigns."""
        return f"CampaignDecisions({self._piece.versions.campaigns!r})"

    def judge(self, step: Step) -> None:
        """Decide the audiences for the user of a step, as of before the step."""
        user, view = step.user, self._conditions.view(step, instant_of(step), is_before=True)
        for order in step.judges:
            if user.is_new:
                self._mark(step, CampaignMark(order.id, "new", instant_of(step)))
                continue
            if mark_of(user.ledger.campaigns, order.id) is not None:  # it came with a visitor in the same piece
                continue
            is_in = self._is_in(order, view)
            self._count(CampaignMove(order.id, "judged"))
            if is_in:
                self._count(CampaignMove(order.id, "in_audience"))
            if is_in or step.turn_of is not order:
                self._mark(step, CampaignMark(order.id, "in" if is_in else "out", instant_of(step)))

    def take_turn(self, step: Step, effects: StepEffects) -> None:
        """Decide about the message of a campaign, because the turn of the step's user has come."""
        order, ledger = step.turn_of, step.user.ledger
        mark = None if order is None else mark_of(ledger.campaigns, order.id)
        if order is None or mark is None or mark.state != "in":
            return
        decision, at = self._decide(order, step), instant_of(step)
        effects.decisions.append(decision)
        effects.has_moved_pending = True
        self._mark(step, _decided(msgspec.structs.replace(mark, at=at), decision))

    def convert(self, step: Step, effects: StepEffects) -> None:
        """Count the event of a step if it is the goal of a campaign that has reached the user."""
        event, user = step.event, step.user
        if event is None:
            return
        for mark in user.ledger.campaigns:
            order = self._piece.versions.campaigns.order(mark.order)
            found = None if order is None else converted(order.campaign, mark, event, step.at)
            if order is None or found is None or order.campaign.goal is None:
                continue
            self._mark(step, found)
            is_held_out, goal = mark.state == "held_out", order.campaign.goal
            self._count(CampaignMove(order.id, "converted", "", is_held_out))
            effects.reach(ReachedGoal(order.id, True, order.id, order.campaign.rule, goal, is_held_out))
            value = value_of(event, goal.value) if goal.value else None
            effects.signals.append(
                Signal(
                    kind="campaign_converted",
                    user=user.name,
                    at=step.at,
                    cause=step.cause,
                    name=order.campaign.name,
                    run=order.id,
                    held_out=is_held_out,
                    value=float(value) if isinstance(value, int | float) else 0.0,
                )
            )

    def left(self, step: Step, due: int) -> frozenset[str]:
        """Return the ids of the starts whose audience a user has left while a message waited until a time."""
        orders = {_order_of(pending) for pending in step.user.ledger.pending if pending.until <= step.now}
        found = (self._piece.versions.campaigns.order(one) for one in orders if one)
        checked = [order for order in found if order is not None and order.is_judged_at_send]
        if not checked:
            return frozenset()
        view = self._conditions.view(step, due)
        return frozenset(order.id for order in checked if not self._is_in(order, view))

    def note(self, step: Step, decisions: Iterable[Decision], *, have_waited: bool) -> None:
        """Count decisions about messages of campaigns, and keep those about messages that had waited."""
        found = [one for one in decisions if one.signal.kind == "campaign"]
        self._piece.campaigns += moves_of(found, have_waited=have_waited)
        for decision in found if have_waited else ():
            mark = mark_of(step.user.ledger.campaigns, decision.signal.run)
            if mark is not None:
                self._mark(step, _decided(mark, decision))

    # --- parts of decisions ----------------------------------------------------------------------------------------

    def _decide(self, order: Order, step: Step) -> Decision:
        recipient, campaign, at = self._recipient(step), order.campaign, instant_of(step)
        planner, rule = self._piece.versions.planner(), order.rule
        signal = Signal(kind="campaign", user=step.user.name, at=at, cause=order.id, name=campaign.name, run=order.id)
        if campaign.at is not None and campaign.at.is_local:
            zone = zone_of(recipient.customer.facts.traits, self._piece.versions.configuration.timezone)
            local = order.local_turn_of(step.user.name, zones.zone(zone.name))
            if local is None:
                return planner.withhold(rule, signal, recipient, "expired", "its local time was over at the start")
            signal = msgspec.structs.replace(signal, at=max(at, local))
        earlier = _earlier(order, step.user.ledger)
        if earlier:
            return planner.withhold(rule, signal, recipient, "duplicate", f"sent by the earlier start {earlier}")
        if order.is_judged_at_send and not self._is_in(order, self._conditions.view(step, at)):
            return planner.withhold(rule, signal, recipient, "left_audience")
        if is_held_out(campaign, step.user.name):
            return planner.withhold(rule, signal, recipient, "held_out")
        return planner.plan(rule, signal, recipient)

    def _is_in(self, order: Order, view: RecordedView) -> bool:
        """Return whether a user is in the audience; unknown is not."""
        return truth_of(order.campaign.audience, lambda clause: self._conditions.truth(view, clause)) is True

    def _mark(self, step: Step, mark: CampaignMark) -> None:
        user = step.user
        marks = with_mark(user.ledger.campaigns, mark)
        user.ledger.campaigns = self._piece.versions.campaigns.trimmed(marks, instant_of(step))
        user.has_changed = True

    def _count(self, move: CampaignMove) -> None:
        self._piece.campaigns.append(move)


def _earlier(order: Order, ledger: Ledger) -> str:
    """Return the id of an earlier start whose message the user got or waits for; empty without one."""
    marks = (mark for mark in ledger.campaigns if mark.order in order.excludes)
    return next((mark.order for mark in marks if mark.state in ("sent", "deferred")), "")


def _decided(mark: CampaignMark, decision: Decision) -> CampaignMark:
    state: MarkState = "held_out" if decision.reason == "held_out" else decision.outcome
    sent_at = decision.at if decision.outcome == "sent" else mark.sent_at
    return msgspec.structs.replace(mark, state=state, sent_at=sent_at)


def _order_of(pending: Pending) -> str:
    """Return the id of the start whose message waits; empty if it is no message of a campaign."""
    signal = _decode_signal(pending.signal)
    return signal.run if signal.kind == "campaign" else ""
