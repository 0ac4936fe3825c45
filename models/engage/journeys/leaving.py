"""Exits and goals of a run, which are looked at before its step goes on: at every event, and at every timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from models.conditions.clauses import Condition
from models.conditions.periods import NEVER
from models.conditions.properties import value_of
from models.conditions.truth import Truth
from models.configuration.journeys.definition import Journey
from models.engage.journeys.events import matches
from models.events import Event
from models.profile.runs import Run

Ask = Callable[[Condition], Truth]
"""Return the truth of a condition for the run."""


class Conversion(NamedTuple):
    """A goal that a run has reached.

    Attributes
    ----------
    run
        The run, with the conversion counted.
    value
        Value of the conversion; ``None`` without one.
    """

    run: Run
    value: object


def exit_of(journey: Journey, run: Run, at: int, event: Event | None, ask: Ask) -> str:
    """Return the name of the first exit that ends a run at an instant; empty if none does.

    Parameters
    ----------
    journey, run
        The run and its journey.
    at
        The instant, milliseconds.
    event
        The event of the step; ``None`` for a timer.
    ask
        The truth of conditions at the instant. Unknown ends no run.
    """
    for one in journey.exits:
        if one.after:
            if at >= run.entered_at + one.after:
                return one.name
        elif one.on is not None:
            if event is not None and is_since_entry(event, run, at) and matches(one.on, event, run.entry):
                return one.name
        elif one.when is not None and ask(one.when) is True:
            return one.name
    return ""


def exit_due(journey: Journey, run: Run) -> int:
    """Return the time at which a run ends at the latest, milliseconds."""
    return min((run.entered_at + one.after for one in journey.exits if one.after), default=NEVER)


def conversion_of(journey: Journey, run: Run, at: int, event: Event) -> Conversion | None:
    """Return the conversion that an event is for a run; ``None`` if it is none.

    The event counts at its own time, which must be within the goal's time.
    """
    goal = journey.goal
    if goal is None or (run.conversions and not goal.is_repeated):
        return None
    begin, happened_at = (run.first_sent_at if goal.is_of_sent else run.entered_at), min(event.at, at)
    if not begin or not begin <= happened_at <= begin + goal.within or not matches(goal.on, event, run.entry):
        return None
    value = value_of(event, goal.value) if goal.value else None
    return Conversion(replace(run, conversions=run.conversions + 1), value)


def is_since_entry(event: Event, run: Run, at: int) -> bool:
    """Return whether an event happened since the entry of a run; a late event that is older does not count."""
    return min(event.at, at) >= run.entered_at
