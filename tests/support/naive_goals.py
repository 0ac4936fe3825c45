"""The money of goals and the credits of messages, computed in the plainest way from a whole log and its outputs.

Nothing is kept from event to event but lists. Each order is added up again from all of its events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from models.events import Event

_REACHED_NO_ONE = {"bounced", "failed", "suppressed"}


class GoalStep(NamedTuple):
    """An event of a log, the time at which it counts, and what the fold has written at its record."""

    event: Event | None
    at: int
    outputs: Sequence[tuple[str, dict[str, Any]]]


class Told(NamedTuple):
    """The numbers of a log.

    Attributes
    ----------
    credited, assisted
        Numbers of conversions by rule.
    revenue
        Money of the credits, micros by rule.
    values
        Money by journey and control group.
    squares
        Sum of the squares of the money of each run, in units, by journey and control group.
    """

    credited: Counter[str]
    assisted: Counter[str]
    revenue: Counter[str]
    values: Counter[tuple[str, bool]]
    squares: Counter[tuple[str, bool]]


class _Counted(NamedTuple):
    user: str
    order: str
    journey: str
    run: str
    is_held_out: bool
    until: int
    event: str


def told(steps: Iterable[GoalStep], within: dict[str, int]) -> Told:
    """Return the numbers of a log of purchases in one currency.

    Parameters
    ----------
    steps
        The steps in the order of the log, one record each.
    within
        Time of the goal by journey, milliseconds.
    """
    credited, assisted, revenue = Counter[str](), Counter[str](), Counter[str]()
    seen: list[GoalStep] = []
    counted: list[_Counted] = []
    winners: dict[tuple[str, str], tuple[str, int]] = {}
    for step in steps:
        event = step.event
        signals = [one for topic, one in step.outputs if topic == "signals" and one["kind"] == "journey_converted"]
        new = [one for one in signals if event is not None and one["cause"] == event.id]
        if event is not None and new:
            order = event.order or event.id
            found = sorted(_eligible(seen, event.user, step.at, new, within))
            if found and (event.user, order) not in winners:
                _, rule, journey = found[-1]
                winners[event.user, order] = rule, step.at + within[journey]
                assisted.update(rule for _, rule, _ in found[:-1])
            for one in new:
                key = event.user, order, one["name"], one["run"], bool(one.get("held_out"))
                if not any(other[:5] == key for other in counted):
                    counted.append(_Counted(*key, step.at + within[one["name"]], event.id))
        seen.append(step)
    for (user, order), (rule, until) in winners.items():
        net, is_back = _net(seen, user, order, until)
        revenue[rule] += net
        credited[rule] += not is_back
    runs = Counter[tuple[str, bool, str]]()
    for each in counted:
        runs[each.journey, each.is_held_out, each.run] += _net(seen, each.user, each.order, each.until)[0]
    values, squares = Counter[tuple[str, bool]](), Counter[tuple[str, bool]]()
    for (journey, held_out, _), amount in runs.items():
        values[journey, held_out] += amount
        squares[journey, held_out] += (amount / 1e6) ** 2  # type: ignore[assignment]
    return Told(+credited, +assisted, +revenue, +values, squares)


def _eligible(
    seen: Sequence[GoalStep], user: str, at: int, new: Sequence[dict[str, Any]], within: dict[str, int]
) -> Iterable[tuple[int, str, str]]:
    """Yield the place, the rule and the journey of each message that may have the credit, or has assisted."""
    journeys = {one["name"] for one in new if not one.get("held_out")}
    outcomes = {
        one.event.message: one.event.type.removeprefix("message_") for one in seen if one.event and one.event.message
    }
    place = 0
    for step in seen:
        for topic, one in step.outputs:
            place += 1
            journey = one.get("rule", "").partition("/")[0]
            if topic != "decisions" or one["outcome"] != "sent" or one["user"] != user or journey not in journeys:
                continue
            if at - within[journey] <= one["at"] <= at and outcomes.get(one["id"]) not in _REACHED_NO_ONE:
                yield place, one["rule"], journey


def _net(seen: Sequence[GoalStep], user: str, order: str, until: int) -> tuple[int, bool]:
    """Return what an order was worth after its last event that counts, and whether it was refunded entirely."""
    about = [step for step in seen if step.event is not None and (step.event.user, step.event.order) == (user, order)]
    last = max((place for place, step in enumerate(about) if step.at <= until), default=-1)
    stated = [step.event for step in about[: last + 1] if step.event is not None]
    if not stated:  # an event without an order
        (alone,) = [step.event for step in seen if step.event is not None and step.event.id == order]
        return alone.amount, False
    bought = [one for one in stated if one.type == "purchase"]
    whole = [one.amount for one in bought if one.order_form == "whole"]
    amount = whole[0] if whole else sum(one.amount for one in bought)
    refunds = [one for one in stated if one.type == "refund"]
    claimed = sum(one.amount for one in refunds if one.order_form != "whole")
    back = amount if any(one.order_form == "whole" for one in refunds) else min(amount, claimed)
    return amount - back, bool(back or any(one.order_form == "whole" for one in refunds)) and amount == back
