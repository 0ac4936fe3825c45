"""Events and times as the naive evaluation of conditions reads them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from models.conditions import clauses as c
from models.events import Event

ORDER_WITHIN_MS = 3_600_000
QUARTER_MS = 15 * 60_000


@dataclass(frozen=True)
class HistoricEvent:
    """An event as it counts: at its time, but not after the clock at its arrival."""

    at: int
    order: int
    arrived: int
    event: Event


def key(event: Event) -> str:
    return str(event.name) if event.type == "custom" else event.type


def has_name(event: Event, name: str) -> bool:
    """Return whether a name in a condition means the event; ``custom`` means every custom event."""
    return key(event) == name or name == event.type == "custom"


def found_in(event: Event, name: str) -> Any:
    """Return a property: as stated by the sender, otherwise the field of the event."""
    stated = (event.properties or {}).get(name)
    if stated is not None:
        return stated
    return getattr(event, name) if name in ("category", "item", "order") else None


def same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def holds_for(comparison: c.ValueComparison | None, value: Any) -> bool:
    assert comparison is not None
    if value is None:
        return False
    if comparison.among and not any(same(value, allowed) for allowed in comparison.among):
        return False
    bounds = (comparison.at_least, comparison.more_than, comparison.at_most, comparison.less_than)
    if any(bound is not None for bound in bounds):
        if isinstance(value, bool | str | list | dict):
            return False
        low, above, high, below = bounds
        if (low is not None and value < low) or (above is not None and value <= above):
            return False
        if (high is not None and value > high) or (below is not None and value >= below):
            return False
    if comparison.starts_with is not None and not (isinstance(value, str) and value.startswith(comparison.starts_with)):
        return False
    if comparison.contains is not None:
        if isinstance(value, str):
            return isinstance(comparison.contains, str) and comparison.contains in value
        return isinstance(value, list) and any(same(comparison.contains, inner) for inner in value)
    return True


def all_hold(where: c.Where, event: Event) -> bool:
    lines = {name: comparison for name, comparison in where if name.startswith("line.")}
    for name, comparison in where:
        if name in lines or comparison.same_as is not None:
            continue
        if name in ("price", "amount"):
            if event.currency != comparison.currency or not holds_for(comparison, Fraction(event.amount, 10**6)):
                return False
        elif not holds_for(comparison, found_in(event, name)):
            return False
    return not lines or bool(lines_that_fit(where, event))


def lines_that_fit(where: c.Where, event: Event) -> list[Any]:
    wanted = [(name[5:], comparison) for name, comparison in where if name.startswith("line.")]
    return [
        line for line in event.lines if all(holds_for(comparison, getattr(line, name)) for name, comparison in wanted)
    ]


def values(measure: c.Measure, where: c.Where, event: Event) -> list[Any]:
    """Return the values of an event that are measured, in units of 10^-6 if they are numbers."""
    if measure.kind in ("times", "last", "first"):
        return [None]
    if measure.currency is not None and event.currency != measure.currency:
        return []
    if measure.of == "amount":
        return [event.amount]
    if measure.of == "line.amount":
        lines = lines_that_fit(where, event)
        return [sum(line.price * line.quantity for line in lines)] if lines else []
    if measure.of == "line.item":
        return sorted({line.item for line in lines_that_fit(where, event)})
    value = found_in(event, measure.of)
    if measure.kind == "distinct":
        return (
            []
            if value is None or isinstance(value, list | dict)
            else [(isinstance(value, str), isinstance(value, bool), value)]
        )
    if value is None or isinstance(value, bool | str | list | dict):
        return []
    return [int((Decimal(str(value)) * 10**6).to_integral_value(ROUND_HALF_EVEN))]


def day_of(now: int, zone: tzinfo) -> date:
    """Return the local day; where clocks go back over midnight, the new day goes on."""
    day = datetime.fromtimestamp(now // 1000, zone).date()
    return day + timedelta(days=1) if now >= first_instant(day + timedelta(days=1), zone) else day


@cache
def first_instant(day: date, zone: tzinfo) -> int:
    """Return the first quarter of an hour whose local day is at least this one."""
    at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) - 16 * 3_600_000
    while datetime.fromtimestamp(at // 1000, zone).date() < day:
        at += QUARTER_MS
    return at


def time_of(value: Any, zone: tzinfo | None) -> int | None:
    if not isinstance(value, str) or "-" not in value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    if found.tzinfo is not None:
        return int(found.timestamp() * 1000)
    if zone is None:
        return None
    at = int(found.replace(tzinfo=UTC).timestamp() * 1000) - 16 * 3_600_000
    while datetime.fromtimestamp(at // 1000, zone).replace(tzinfo=None) < found:
        at += QUARTER_MS
    return at


def matches(rule: c.SequenceClause, events: Sequence[HistoricEvent]) -> Iterator[tuple[int, int]]:
    """Yield the begin and the end of every match, of any age."""
    accepted: list[HistoricEvent] = []
    for one in events:
        fits = any(has_name(one.event, step.event) and all_hold(step.where, one.event) for step in rule.steps)
        if not fits and not any(has_name(one.event, name) for name in rule.without):
            continue
        newest = max((other.at for other in accepted), default=0)
        if one.at >= one.arrived - ORDER_WITHIN_MS or one.at >= newest:
            accepted.append(one)
    accepted.sort(key=lambda one: (one.at, one.order))
    for places in itertools.combinations(range(len(accepted)), len(rule.steps)):
        if _is_match(rule, accepted, places):
            yield accepted[places[0]].at, accepted[places[-1]].at


def _is_match(rule: c.SequenceClause, events: list[HistoricEvent], places: tuple[int, ...]) -> bool:
    found = [events[place] for place in places]
    if found[-1].at - found[0].at > rule.within:
        return False
    if any(has_name(other.event, name) for name in rule.without for other in events[places[0] + 1 :]):
        return False
    named = {step.name: one.event for step, one in zip(rule.steps, found, strict=True) if step.name}
    for i, (step, one) in enumerate(zip(rule.steps, found, strict=True)):
        if not has_name(one.event, step.event) or not all_hold(step.where, one.event):
            return False
        if step.at_most_after and one.at - found[i - 1].at > step.at_most_after:
            return False
        for name, comparison in step.where:
            if comparison.same_as is not None:
                other, _, wanted = comparison.same_as.partition(".")
                mine, its = found_in(one.event, name), found_in(named[other], wanted)
                if mine is None or not same(mine, its):
                    return False
    return True


def is_near_anniversary(before: int, value: Any, now: int, zone: tzinfo) -> bool:
    try:
        born = date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    year = day_of(now, zone).year
    for candidate in (year, year + 1):
        if candidate <= born.year:
            continue
        try:
            day = born.replace(year=candidate)
        except ValueError:
            day = date(candidate, 2, 28)
        begin = first_instant(day, zone)
        if before < 0:
            if begin <= now < first_instant(day + timedelta(days=1), zone):
                return True
        elif begin - before <= now < begin:
            return True
    return False
