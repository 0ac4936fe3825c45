"""Reports about journeys and campaigns: the lift over the control group first, then each message with its credits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from models.engage.lift import LEVEL, Group, Lift, lift_of_money, lift_of_rates
from models.events import MICROS
from models.fold.campaign_view import StartState
from models.fold.goal_outline import GoalOutline, JourneyOutline
from models.fold.journey_view import JourneyState
from models.fold.message_counts import MessageCounts, joined_message_counts
from models.fold.moments import moment

_DELIVERED = ("delivered", "opened", "clicked")
_STOPPED = ("suppressed", "handed_over")
_REPORTED = ("delivered", "opened", "clicked", "bounced")
"""Outcomes that only reports of a provider after the hand-over give."""


class MessagePrice(NamedTuple):
    """The price of one message over a channel: units of a currency."""

    amount: float
    currency: str


Prices = Mapping[str, MessagePrice]
"""Price of a message by channel; a channel without one is not stated."""


class _GoalCounts(Protocol):
    revenue: dict[str, int]
    revenue_held_out: dict[str, int]
    squares: dict[str, float]
    squares_held_out: dict[str, float]
    converted: int
    converted_held_out: int


def journey_report(one: JourneyState, prices: Prices) -> dict[str, Any]:
    """Report about a journey.

    Parameters
    ----------
    one
        The journey, with the counts of all partitions.
    prices
        Prices of messages.

    Returns
    -------
    dict
        Values that JSON can hold.
    """
    counts, outline = one.counts, one.outline or JourneyOutline()
    rows = [_message(name, outline, found, prices) for name, found in _sorted(one.messages, outline).items()]
    lift = _lift(counts, counts.entered - counts.held_out, counts.held_out, outline.goal)
    if outline.enters_again and lift["reason"] is None:
        lift["note"] = "a user may have several runs, so the interval is a little too narrow"
    return {
        "journey": one.name,
        "version": one.version or None,
        "lift": lift,
        "runs": {
            "entered": counts.entered,
            "under_way": sum(counts.active.values()),
            "ended": counts.ended,
            "refused": counts.refused,
        },
        "messages": rows,
        "channels": _summed(one.messages, prices, lambda name: name.partition("@")[2], "channel"),
        "arms": _summed(one.messages, prices, lambda name: outline.steps.get(name.partition("@")[0], ""), "arm"),
    }


def campaign_report(
    name: str, starts: Iterable[StartState], messages: Mapping[str, MessageCounts], prices: Prices
) -> dict[str, Any]:
    """Report about a campaign: the lift of each start, and the messages of all starts.

    Parameters
    ----------
    name
        Its name.
    starts
        Its starts, with the counts of all partitions.
    messages
        Its messages, by channel.
    prices
        Prices of messages.
    """
    return {
        "campaign": name,
        "starts": [_start(one) for one in sorted(starts, key=lambda one: one.number)],
        "messages": [_row({"channel": channel}, messages[channel], channel, prices) for channel in sorted(messages)],
    }


def _start(one: StartState) -> dict[str, Any]:
    counts = one.counts
    treated = counts.sent + counts.waiting + sum(counts.dropped.values())
    return {
        "start": one.id,
        "number": one.number,
        "begins": moment(one.begins),
        "lift": _lift(counts, treated, counts.held_out, one.goal),
        "audience": counts.audience,
        "sent": counts.sent,
    }


# --- the lift --------------------------------------------------------------------------------------------------------


def _lift(counts: _GoalCounts, treated: int, held_out: int, goal: GoalOutline | None) -> dict[str, Any]:
    """Return the comparison of the treatment with the control group, and why there is none if there is none."""
    converted = counts.converted - counts.converted_held_out
    found: dict[str, Any] = {
        "level": LEVEL,
        "treatment": {"number": treated, "converted": converted, "revenue": _money(counts.revenue)},
        "control": {
            "number": held_out,
            "converted": counts.converted_held_out,
            "revenue": _money(counts.revenue_held_out),
        },
        "conversions": None,
        "money": [],
        "reason": _reason(held_out, goal),
        "note": None,
    }
    if found["reason"] is not None or goal is None:
        return found
    one, other = Group(treated, converted), Group(held_out, counts.converted_held_out)
    if goal.is_repeated:
        found["note"] = "a conversion counts each time, so only money is compared"
    else:
        found["conversions"] = _described(lift_of_rates(one, other))
    for currency in sorted({*counts.revenue, *counts.revenue_held_out}):
        sums = counts.revenue.get(currency, 0) / MICROS, counts.revenue_held_out.get(currency, 0) / MICROS
        money = lift_of_money(
            one._replace(total=sums[0], squares=counts.squares.get(currency, 0.0)),
            other._replace(total=sums[1], squares=counts.squares_held_out.get(currency, 0.0)),
        )
        found["money"].append({"currency": currency or None, **_described(money)})
    return found


def _reason(held_out: int, goal: GoalOutline | None) -> str | None:
    if goal is None:
        return "there is no goal"
    if goal.is_of_sent:
        return "the goal's time begins with the message, and the control group gets none"
    return None if held_out else "there is no control group (holdout)"


def _described(lift: Lift) -> dict[str, Any]:
    return {
        "treatment": lift.treated,
        "control": lift.control,
        "difference": lift.difference,
        "low": lift.low,
        "high": lift.high,
        "is_clear": lift.is_clear,
        "too_few": lift.too_few or None,
    }


# --- messages --------------------------------------------------------------------------------------------------------


def _sorted(messages: Mapping[str, MessageCounts], outline: JourneyOutline) -> dict[str, MessageCounts]:
    """Return the messages in the order of the journey's steps; those of removed steps come last."""
    places = {step: place for place, step in enumerate(outline.steps)}
    names = sorted(messages, key=lambda name: (places.get(name.partition("@")[0], len(places)), name))
    return {name: messages[name] for name in names}


def _message(name: str, outline: JourneyOutline, counts: MessageCounts, prices: Prices) -> dict[str, Any]:
    step, _, channel = name.partition("@")
    arm = outline.steps.get(step)
    return _row(
        {"step": step, "arm": arm or None, "is_removed": arm is None, "channel": channel}, counts, channel, prices
    )


def _row(place: dict[str, Any], counts: MessageCounts, channel: str, prices: Prices) -> dict[str, Any]:
    outcomes = counts.outcomes
    is_measured = any(outcomes.get(one) for one in _REPORTED)
    sent = counts.sent - sum(outcomes.get(one, 0) for one in _STOPPED)
    price = prices.get(channel)
    return {
        **place,
        "sent": sent,
        "delivered": sum(outcomes.get(one, 0) for one in _DELIVERED) if is_measured else None,
        "clicked": outcomes.get("clicked", 0) if outcomes.get("clicked") else None,
        "failed": outcomes.get("failed", 0) + outcomes.get("bounced", 0),
        "unknown": outcomes.get("unknown", 0),
        "stopped": {one: outcomes[one] for one in _STOPPED if outcomes.get(one)},
        "dropped": counts.dropped,
        "converted": counts.credited,
        "assisted": counts.assisted,
        "revenue": _money(counts.revenue),
        "cost": None if price is None else {price.currency: round(sent * price.amount, 6)},
    }


def _summed(messages: Mapping[str, MessageCounts], prices: Prices, key: Any, title: str) -> list[dict[str, Any]]:
    """Return the messages added up by a part of their names; those without the part are left out."""
    groups: dict[str, dict[str, list[MessageCounts]]] = {}
    for name, counts in messages.items():
        if part := key(name):
            groups.setdefault(part, {}).setdefault(name.partition("@")[2], []).append(counts)
    found = []
    for part in sorted(groups):
        rows = [_row({}, joined_message_counts(of), channel, prices) for channel, of in sorted(groups[part].items())]
        whole = _row({title: part}, joined_message_counts(one for of in groups[part].values() for one in of), "", {})
        costs = [row["cost"] for row in rows]
        whole["cost"] = None if None in costs else _added(costs)
        found.append(whole)
    return found


def _added(costs: Iterable[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for cost in costs:
        for currency, amount in cost.items():
            found[currency] = round(found.get(currency, 0.0) + amount, 6)
    return found


def _money(amounts: Mapping[str, int]) -> dict[str, float]:
    """Return amounts in units by currency; the empty name is for numbers without a currency."""
    return {currency: micros / MICROS for currency, micros in sorted(amounts.items())}
