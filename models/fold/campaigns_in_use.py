"""The campaigns that were started in a partition, and those whose audiences are watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from models.conditions.clauses import Condition
from models.conditions.properties import CUSTOM, event_key
from models.configuration.campaigns.definition import Campaign
from models.configuration.compiled import Rule
from models.engage.campaigns.audience import watched_clauses
from models.engage.campaigns.orders import Order, decode_campaign, offset_of
from models.events import Event
from models.fold.refused_starts import RefusedStart, StartRefused
from models.log import CampaignOrder
from models.profile.campaign_marks import MAX_MARKS, CampaignMark, trimmed_marks

CAMPAIGNS_KEY = b"\x00campaigns"
"""Key in ``profiles`` under which the orders of a partition are stored."""
MAX_ORDERS = 64
"""Maximum number of orders that a partition remembers; the oldest that is over is forgotten first."""
MAX_OPEN = 32
"""Maximum number of starts that are under way at once. A profile keeps a mark of each."""
MAX_REFUSED = 16
"""Maximum number of refused starts that a partition remembers, and of those that were cancelled before they came."""


class _Stored(msgspec.Struct, array_like=True):
    orders: list[Order]
    kept: tuple[Campaign, ...]
    numbers: dict[str, int] = {}
    refused: tuple[RefusedStart, ...] = ()
    unmet: tuple[str, ...] = ()


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(_Stored).decode


class CampaignsInUse:
    """The campaigns of one partition.

    Parameters
    ----------
    orders
        The orders, oldest first.
    kept
        Campaigns that were under way when the configuration in use came, and that it does not have.
    numbers
        Number of the newest start by name of the campaign; also of starts whose orders are forgotten.
    refused
        Starts that were refused, oldest first.
    unmet
        Ids of starts that were cancelled before they reached the partition, oldest first. They never begin.

    Attributes
    ----------
    orders
        The orders, oldest first.
    kept, numbers, refused, unmet
        See above.
    rules
        The rules by which the planner decides about their messages, by name.
    goals
        Names of the events that may be the goal of a campaign.
    held, cancelled
        Ids of the orders that are paused, and of those that were cancelled.
    """

    def __init__(
        self,
        orders: Iterable[Order] = (),
        kept: Iterable[Campaign] = (),
        numbers: Mapping[str, int] | None = None,
        refused: Iterable[RefusedStart] = (),
        unmet: Iterable[str] = (),
    ) -> None:
        self.orders = tuple(orders)
        self.kept = tuple(kept)
        self.numbers = dict(numbers or {})
        self.refused = tuple(refused)
        self.unmet = tuple(unmet)
        self.rules: dict[str, Rule] = {order.campaign.rule: order.rule for order in self.orders}
        self.held = frozenset(order.id for order in self.orders if order.status == "paused")
        self.cancelled = frozenset(order.id for order in self.orders if order.status == "cancelled")
        goals = (order.campaign.goal for order in self.orders)
        self.goals = frozenset(goal.on.event for goal in goals if goal is not None)

    def __repr__(self) -> str:
        """Show the amount."""
        return f"CampaignsInUse({len(self.orders)} orders)"

    def order(self, number: str) -> Order | None:
        """Return the order of an id; ``None`` without one."""
        return next((order for order in self.orders if order.id == number), None)

    def trimmed(self, marks: list[CampaignMark], at: int) -> list[CampaignMark]:
        """Return the marks of a user without the oldest above the maximum.

        A start needs its marks while users may have a turn, and while it or a later one leaves out who has a message.
        """
        if len(marks) <= MAX_MARKS:
            return marks
        under_way = [order for order in self.orders if order.is_open_at(at - 1)]
        excluded = {number for order in under_way for number in order.excludes}
        return trimmed_marks(marks, {order.id for order in under_way} | excluded | self.cancelled)

    def reads(self, event: Event) -> bool:
        """Return whether an event may be the goal of a campaign."""
        goals = self.goals
        return bool(goals) and (event_key(event) in goals or (event.type == CUSTOM and CUSTOM in goals))

    def clauses(self, configured: Iterable[Campaign]) -> tuple[Condition, ...]:
        """Return the clauses of the audiences of configured campaigns, and of those that are kept."""
        return watched_clauses((*configured, *self.kept))

    def after(self, configured: Iterable[Campaign], now: int) -> CampaignsInUse:
        """Return the campaigns under the next configuration, which comes at a time."""
        present = set(configured)
        under_way = [order.campaign for order in self.orders if order.status != "cancelled" and order.end > now]
        kept = dict.fromkeys(one for one in under_way if one not in present)
        return CampaignsInUse(self.orders, kept, self.numbers, self.refused, self.unmet)

    def following(
        self, control: CampaignOrder, now: int, users: Sequence[bytes], configured: Iterable[Campaign]
    ) -> CampaignsInUse:
        """Return the campaigns after a control record; ``self`` if the record has no effect.

        Parameters
        ----------
        control
            The record.
        now
            The partition's clock, milliseconds.
        users
            Keys of the users of the partition.
        configured
            The campaigns of the configuration in use.

        Raises
        ------
        msgspec.DecodeError
            The record has no campaign.
        StartRefused
            The record would start a campaign that may not be started now.
        """
        order = self.order(control.id)
        if control.order == "start":
            if order is not None:
                return self
            campaign = decode_campaign(bytes(control.campaign))
            self._require_startable(campaign, control, now, configured)
            new = _started(campaign, control, now, users)
            numbers = {**self.numbers, campaign.name: control.number}
            refused = (one for one in self.refused if one.id != control.id)
            return CampaignsInUse((*self._without_oldest(now), new), self.kept, numbers, refused, self.unmet)
        if order is None and control.order == "cancel" and control.id not in self.unmet:
            unmet = [*self.unmet, control.id][-MAX_REFUSED:]
            return CampaignsInUse(self.orders, self.kept, self.numbers, self.refused, unmet)
        if order is None or order.status == "cancelled":
            return self
        changed = _changed(order, control, now)
        if changed is order:
            return self
        orders = (changed if one is order else one for one in self.orders)
        return CampaignsInUse(orders, self.kept, self.numbers, self.refused, self.unmet)

    def refusing(self, control: CampaignOrder, error: StartRefused, now: int) -> CampaignsInUse:
        """Return the campaigns after a start that was refused at a time."""
        new = RefusedStart(control.id, error.campaign, control.number, error.why, str(error), now)
        others = [one for one in self.refused if one.id != control.id]
        return CampaignsInUse(self.orders, self.kept, self.numbers, [*others, new][-MAX_REFUSED:], self.unmet)

    def _require_startable(
        self, campaign: Campaign, control: CampaignOrder, now: int, configured: Iterable[Campaign]
    ) -> None:
        """Require that a new start is the next one of its name, and that its audience is watched."""
        name, number, newest = campaign.name, control.number, self.numbers.get(campaign.name, 0)
        if control.id in self.unmet:
            allowed = "another start, because this one was cancelled before it reached the partition"
            raise StartRefused(name, number, "cancelled_before", allowed)
        under_way = [one for one in self.orders if one.is_open_at(now)]
        if any(one.campaign.name == name for one in under_way):
            raise StartRefused(name, number, "under_way", f"a start after start {newest}, which is under way, is over")
        if number <= newest:
            raise StartRefused(name, number, "number_used", f"start {newest + 1}, because start {newest} was before")
        if campaign not in configured:
            allowed = "a campaign as the configuration in use has it; start it again by `perennial campaigns start`"
            raise StartRefused(name, number, "other_definition", allowed)
        if len(under_way) >= MAX_OPEN:
            raise StartRefused(name, number, "too_many", f"{MAX_OPEN} campaigns under way; wait until one is over")

    def _without_oldest(self, now: int) -> list[Order]:
        found = list(self.orders)
        for order in self.orders:
            if len(found) >= MAX_ORDERS and (order.status == "cancelled" or order.end <= now):
                found.remove(order)
        return found

    def encode(self) -> bytes:
        """Return what is stored."""
        return _encode(_Stored(list(self.orders), self.kept, self.numbers, self.refused, self.unmet))


def restored_campaigns(content: bytes | None) -> CampaignsInUse:
    """Return the campaigns that :meth:`CampaignsInUse.encode` has encoded; none for ``None``."""
    if content is None:
        return CampaignsInUse()
    stored = _decode(content)
    known = {order.campaign.name: order.number for order in stored.orders}
    return CampaignsInUse(stored.orders, stored.kept, {**known, **stored.numbers}, stored.refused, stored.unmet)


def _started(campaign: Campaign, control: CampaignOrder, now: int, users: Sequence[bytes]) -> Order:
    """Return the order of a start."""
    begins, amount = max(control.at, now), len(users)
    span = max((offset_of(campaign, amount, key.decode()) for key in users), default=0)
    return Order(control.id, campaign, begins, amount, span, now, control.by, control.excludes, number=control.number)


def _changed(order: Order, control: CampaignOrder, now: int) -> Order:
    """Return an order after a pause, its end, or a cancellation."""
    replace = msgspec.structs.replace
    match control.order:
        case "pause" if order.status == "running":
            return replace(order, status="paused", since=now)
        case "resume" if order.status == "paused":
            return replace(order, status="running", since=0, shift=order.shift + now - order.since)
        case "cancel":
            shift = order.shift + (now - order.since if order.status == "paused" else 0)
            return replace(order, status="cancelled", since=now, shift=shift)
    return order
