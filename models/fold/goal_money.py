"""The money of goals in counts, for the treatment and for the control group."""

from __future__ import annotations

from typing import Protocol

from models.engage.attribution import ValueMove
from models.profile.orders import add_money


class GoalMoney(Protocol):
    """Counts with the money of goals, see ``JourneyCounts``."""

    revenue: dict[str, int]
    revenue_held_out: dict[str, int]
    squares: dict[str, float]
    squares_held_out: dict[str, float]


def add_value(counts: GoalMoney, one: ValueMove) -> None:
    """Add a change of the money of a run or user to the counts, in place."""
    if one.is_held_out:
        counts.revenue_held_out = _added(counts.revenue_held_out, one)
        counts.squares_held_out = _squared(counts.squares_held_out, one)
    else:
        counts.revenue = _added(counts.revenue, one)
        counts.squares = _squared(counts.squares, one)


def _added(sums: dict[str, int], one: ValueMove) -> dict[str, int]:
    return dict(sorted(add_money(sums, one.currency, one.amount).items()))


def _squared(squares: dict[str, float], one: ValueMove) -> dict[str, float]:
    return dict(sorted({**squares, one.currency: squares.get(one.currency, 0.0) + one.square}.items()))
