"""Read what an event clause measures, and in which window."""

from __future__ import annotations

from typing import Any

from models.conditions import periods
from models.conditions.amounts import Bounds, micros_of
from models.conditions.clauses import EventWindow, Measure, MeasureKind
from models.conditions.gaps import gap_length
from models.conditions.properties import LINE, LINE_NAMES, MONEY
from models.conditions.schema import MAX_COUNT, CalendarWindow, WrittenEvent
from models.durations import milliseconds
from models.errors import InvalidConfiguration

_BOUNDS = ("at_least", "more_than", "at_most", "less_than")
_KINDS: tuple[MeasureKind, ...] = ("times", "sum", "average", "largest", "smallest", "distinct", "last", "first")
_ADDED = frozenset({"sum", "average", "largest", "smallest"})


def measure(form: WrittenEvent, path: str) -> Measure:
    """Read what an event clause measures; by default, that the event happened at least once."""
    given = [kind for kind in _KINDS if getattr(form, kind) is not None]
    if len(given) > 1:
        raise InvalidConfiguration(path, given, f"at most one of {', '.join(_KINDS)}")
    kind = given[0] if given else "times"
    if kind in ("times", "last", "first"):
        for name in ("currency", "net", "each", *_BOUNDS):
            if getattr(form, name) is not None:
                allowed = f"nothing here: bounds are written in `{kind}`" if name in _BOUNDS else f"nothing for {kind}"
                raise InvalidConfiguration(f"{path}.{name}", getattr(form, name), allowed)
        return _counted(form, kind, path)
    if kind != "distinct" and form.each is not None:
        raise InvalidConfiguration(f"{path}.each", "each", "nothing: only `distinct` has `each`")
    of = getattr(form, kind)
    if of.startswith(LINE) and of.removeprefix(LINE) not in LINE_NAMES:
        raise InvalidConfiguration(f"{path}.{kind}", of, f"one of {', '.join(LINE + name for name in LINE_NAMES)}")
    _require_currency(form, kind, of, path)
    each = form.each.at_least if form.each is not None else 1
    return Measure(kind, _bounds(form, kind, path), of, form.currency, bool(form.net), each)


def _counted(form: WrittenEvent, kind: MeasureKind, path: str) -> Measure:
    written = getattr(form, kind)
    if written is None:
        return Measure("times", Bounds(at_least=1))
    found = {name: getattr(written, name, None) for name in (*_BOUNDS, "exactly")}
    exactly = found.pop("exactly")
    if exactly is not None:
        if any(value is not None for value in found.values()):
            raise InvalidConfiguration(f"{path}.{kind}", "exactly and another bound", "exactly alone")
        return Measure(kind, Bounds(at_least=exactly, at_most=exactly))
    if kind != "times":
        found = {name: None if value is None else milliseconds(value) for name, value in found.items()}
    return Measure(kind, _checked(Bounds(**found), f"{path}.{kind}", least=0))


def _require_currency(form: WrittenEvent, kind: str, of: str, path: str) -> None:
    is_money = of in MONEY and kind in _ADDED
    if is_money and form.currency is None:
        raise InvalidConfiguration(f"{path}.currency", None, f"the currency of {of}, such as EUR")
    if not is_money and form.currency is not None:
        raise InvalidConfiguration(f"{path}.currency", form.currency, f"nothing: {of} is not an amount of money")
    if form.net and (kind != "sum" or not is_money or form.event != "purchase"):
        raise InvalidConfiguration(f"{path}.net", True, "nothing: only a sum of money over purchases can be net")


def _bounds(form: WrittenEvent, kind: MeasureKind, path: str) -> Bounds:
    found: dict[str, int | None] = {}
    for name in _BOUNDS:
        value: Any = getattr(form, name)
        if value is None:
            continue
        if kind == "distinct":
            if not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
                raise InvalidConfiguration(f"{path}.{name}", value, f"a whole number from 0 to {MAX_COUNT:,}")
            found[name] = value
        else:
            found[name] = micros_of(value)
            if found[name] is None:
                raise InvalidConfiguration(f"{path}.{name}", value, "a number of at most 12 digits before the point")
    return _checked(Bounds(**found), path, least=0 if kind == "distinct" else None)


def _checked(bounds: Bounds, path: str, *, least: int | None) -> Bounds:
    low, high = bounds.low, bounds.high
    if low is None and high is None:
        raise InvalidConfiguration(path, "no bound", f"at least one of {', '.join(_BOUNDS)}")
    if high is not None and ((low is not None and low > high) or (least is not None and high < least)):
        raise InvalidConfiguration(path, "bounds that no number meets", "bounds that some number meets")
    return bounds


def window(form: WrittenEvent, path: str) -> EventWindow:
    """Read the window of an event clause."""
    if form.last is not None or form.first is not None:
        for name in ("within", "since"):
            if getattr(form, name) is not None:
                raise InvalidConfiguration(f"{path}.{name}", getattr(form, name), "nothing for last and first")
        return EventWindow("ever")
    within, since = form.within, form.since
    if (within is None) == (since is None):
        allowed = "exactly one of within, since; `within: ever` for all time"
        raise InvalidConfiguration(path, "both" if within else "no window", allowed)
    if since == "entry":
        return EventWindow("entry")
    if since is not None:
        at = periods.read_time(since, None)
        if at is None:
            raise InvalidConfiguration(f"{path}.since", since, "a time with its zone, such as 2026-01-01T00:00Z")
        return EventWindow("since", since=at)
    if isinstance(within, CalendarWindow):
        return EventWindow("calendar", unit=within.calendar)
    assert within is not None
    gaps = gap_length(within)
    if gaps is not None:
        kind = next((one for one in _KINDS if getattr(form, one) is not None), "times")
        if kind != "times":
            raise InvalidConfiguration(f"{path}.within", within, f"a duration such as 7d: gaps are not for {kind}")
        return EventWindow("rolling", gaps=gaps)
    return EventWindow("ever") if within == "ever" else EventWindow("rolling", milliseconds(within))
