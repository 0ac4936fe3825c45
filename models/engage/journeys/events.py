"""Test whether an event is the one that a part of a journey names, with the properties that a run has kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from models.conditions.matching import EventTest, event_test
from models.conditions.properties import is_named, value_of
from models.configuration.journeys.definition import EventMatch
from models.events import Event

ENTRY = "entry."
"""Beginning of the name of a kept property."""


def matches(match: EventMatch, event: Event, entry: dict[str, Any]) -> bool:
    """Return whether an event is of the name, and its properties are as stated.

    A missing property equals nothing, on either side.

    Parameters
    ----------
    match
        The event that is meant.
    event
        The event.
    entry
        The properties that the run has kept.

    Examples
    --------
    >>> from models.conditions.clauses import ValueComparison
    >>> paid = EventMatch("Paid", (("order", ValueComparison(same_as="entry.order")),))
    >>> event = Event(id="m1", user="u1", type="custom", at=1, name="Paid", properties={"order": "A7"})
    >>> matches(paid, event, {"order": "A7"}), matches(paid, event, {})
    (True, False)
    """
    if not is_named(event, match.event):
        return False
    test = _test(match)
    if test is not None and not test(event):
        return False
    return all(
        _same(value_of(event, name), entry.get(comparison.same_as.removeprefix(ENTRY)))
        for name, comparison in match.where
        if comparison.same_as is not None
    )


@lru_cache(maxsize=4096)
def _test(match: EventMatch) -> EventTest | None:
    return event_test(match.where)


def _same(one: Any, other: Any) -> bool:
    # In Python, `True == 1`. Here a flag is not a number.
    return one is not None and isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
