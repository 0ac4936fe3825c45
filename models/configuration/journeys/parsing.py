"""Read journeys from the plain values of YAML. Errors give the place, what was found, and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from models.conditions import comparing
from models.conditions.parsing import event_where, parse_condition
from models.configuration.journeys.definition import (
    Again,
    Entry,
    EventMatch,
    EventTrigger,
    Exit,
    Goal,
    Journey,
    ScheduleTrigger,
    SegmentTrigger,
    SignalTrigger,
    StageTrigger,
    Trigger,
)
from models.configuration.journeys.matches import event_match, local_time
from models.configuration.journeys.steps import StepReader
from models.configuration.journeys.versions import Steps, find_step
from models.configuration.journeys.written import (
    JourneyForm,
    WrittenAgain,
    WrittenEntry,
    WrittenExit,
    WrittenGoal,
    WrittenTrigger,
)
from models.durations import milliseconds
from models.errors import InvalidConfiguration
from models.reading import read_at

TRIGGERS = ("event", "segment", "stage", "signal", "every")
"""Keys of a trigger, of which exactly one is given."""


def parse_journeys(value: Any, path: str = "journeys") -> tuple[Journey, ...]:
    """Read a list of journeys.

    Raises
    ------
    InvalidConfiguration
        A journey is wrong, or two have the same name or split users by the same experiment.

    Examples
    --------
    >>> [one] = parse_journeys([{
    ...     "name": "welcome",
    ...     "enter": {"on": {"event": "Signed Up"}},
    ...     "exit": [{"after": "30d", "as": "timed_out"}],
    ...     "steps": [{"id": "pause", "wait": "2d"}, {"id": "hello", "send": "welcome"}],
    ... }])
    >>> one.steps[0].duration, one.steps[1].channels, one.longest
    (172800000, ('email',), 2592000000)
    """
    if not isinstance(value, list):
        raise InvalidConfiguration(path, value, "a list of journeys")
    found: list[Journey] = []
    experiments: dict[str, str] = {}
    for i, one in enumerate(value):
        journey = parse_journey(one, f"{path}[{i}]", experiments)
        if any(journey.name == other.name for other in found):
            raise InvalidConfiguration(f"{path}[{i}].name", journey.name, "a name that no other journey has")
        found.append(journey)
    return tuple(found)


def parse_journey(value: Any, path: str, experiments: dict[str, str] | None = None) -> Journey:
    """Read one journey.

    Parameters
    ----------
    value
        Plain values, as YAML gives them.
    path
        Path of the value in the file, for errors.
    experiments
        Place of each experiment that was read before, by its name; those of this journey are added.
    """
    if not isinstance(value, Mapping):
        raise InvalidConfiguration(path, value, "a journey: a mapping with name, enter, exit, steps")
    written = read_at(value, JourneyForm, path)
    enter = _entry(written.enter, f"{path}.enter")
    kept = frozenset(enter.kept)
    exits = tuple(_exit(one, f"{path}.exit[{i}]", kept) for i, one in enumerate(written.exit))
    _check_exits(exits, f"{path}.exit")
    reader = StepReader(kept, {} if experiments is None else experiments, written.category)
    steps = reader.read(value["steps"], f"{path}.steps")
    if not steps:
        raise InvalidConfiguration(f"{path}.steps", [], "at least one step")
    if written.holdout is not None and written.category == "transactional":
        raise InvalidConfiguration(f"{path}.holdout", written.holdout, "nothing: all users get transactional messages")
    return Journey(
        name=written.name,
        enter=enter,
        exits=exits,
        steps=steps,
        purpose=written.purpose,
        category=written.category,
        goal=None if written.goal is None else _goal(written.goal, f"{path}.goal", kept),
        holdout=comparing.share(written.holdout) if written.holdout else 0,
        moved_to=_moved_to(written.moved_to, steps, f"{path}.moved_to"),
    )


def _moved_to(written: Mapping[str, str], steps: Steps, path: str) -> tuple[tuple[str, str], ...]:
    for old, new in written.items():
        if find_step(steps, new) is None:
            raise InvalidConfiguration(f"{path}.{old}", new, "the id of a step of this journey")
    return tuple(sorted(written.items()))


def _entry(written: WrittenEntry, path: str) -> Entry:
    on = _trigger(written.on, f"{path}.on")
    if not isinstance(on, EventTrigger):
        for name, given in (("key", written.key), ("keep", written.keep)):
            if given:
                raise InvalidConfiguration(f"{path}.{name}", given, "nothing: only an event has properties")
    if written.existing == "enter" and not isinstance(on, SegmentTrigger):
        raise InvalidConfiguration(f"{path}.existing", "enter", "`skip`: only a segment has members already")
    condition = None if written.condition is None else parse_condition(written.condition, f"{path}.if")
    again: Again = "after" if isinstance(written.again, WrittenAgain) else written.again
    return Entry(
        on=on,
        condition=condition,
        key=written.key or "",
        keep=tuple(dict.fromkeys(written.keep)),
        again=again,
        again_after=milliseconds(written.again.after) if isinstance(written.again, WrittenAgain) else 0,
        restarts=written.meanwhile == "restart",
        takes_existing=written.existing == "enter",
    )


def _trigger(written: WrittenTrigger, path: str) -> Trigger:
    given = [name for name in TRIGGERS if getattr(written, name) is not None]
    if len(given) != 1:
        raise InvalidConfiguration(path, given, f"exactly one of {', '.join(TRIGGERS)}")
    kind = given[0]
    _require_only(written, path, kind)
    if written.event is not None:
        return EventTrigger(EventMatch(written.event, event_where(written.where, f"{path}.where")))
    if written.segment is not None:
        return SegmentTrigger(written.segment)
    if written.stage is not None:
        return StageTrigger(written.stage)
    if written.every is not None:
        if written.of is None:
            raise InvalidConfiguration(f"{path}.of", None, "the segment whose members enter")
        return ScheduleTrigger(local_time(written.every.time, written.every.days), written.of)
    assert written.signal is not None
    for name, signal in (("crosses", "churn_risk"), ("after", "cart_left")):
        if (getattr(written, name) is not None) != (written.signal == signal):
            allowed = f"a value with `signal: {signal}`, and nothing otherwise"
            raise InvalidConfiguration(f"{path}.{name}", getattr(written, name), allowed)
    return SignalTrigger(written.signal, written.crosses or 0.0, milliseconds(written.after) if written.after else 0)


def _require_only(written: WrittenTrigger, path: str, kind: str) -> None:
    """Refuse a field that belongs to another kind of trigger."""
    for name, owner in (("where", "event"), ("of", "every"), ("crosses", "signal"), ("after", "signal")):
        if owner != kind and getattr(written, name) is not None:
            raise InvalidConfiguration(f"{path}.{name}", getattr(written, name), f"nothing beside `{kind}`")


def _exit(written: WrittenExit, path: str, kept: Collection[str]) -> Exit:
    given = [name for name in ("on", "when", "after") if getattr(written, name) is not None]
    if len(given) != 1:
        raise InvalidConfiguration(path, given, "exactly one of on, when, after")
    return Exit(
        name=written.name,
        on=None if written.on is None else event_match(written.on, f"{path}.on", kept),
        when=None if written.when is None else parse_condition(written.when, f"{path}.when", entry=kept),
        after=milliseconds(written.after) if written.after else 0,
    )


def _check_exits(exits: Sequence[Exit], path: str) -> None:
    if not any(one.after for one in exits):
        raise InvalidConfiguration(path, "no limit of time", "one exit with `after`, because every run must end")
    names = [one.name for one in exits]
    if len(set(names)) < len(names):
        again = next(name for name in names if names.count(name) > 1)
        raise InvalidConfiguration(path, again, "a different name in each `as`")


def _goal(written: WrittenGoal, path: str, kept: Collection[str]) -> Goal:
    return Goal(
        on=event_match(written, path, kept),
        within=milliseconds(written.within),
        is_of_sent=written.of == "sent",
        value=written.value or "",
        is_repeated=written.count == "every",
    )
