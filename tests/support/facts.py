"""Events and the facts that follow from them, for tests that compare facts."""

from __future__ import annotations

import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.events import Event
from models.log import Clock, Control, Tick
from models.profile.codec import unpack
from models.profile.decay import levels
from models.profile.reducers import NO_CUTOFFS, Cutoffs, reduce_facts
from models.profile.state import Facts
from models.units import DAY
from tests.support.event_logs import START, fold_log, written

END = START + 30 * DAY
"""Time at which decayed counts are compared; it is after all events."""
DECAYED = ("activity", "views", "carts", "purchases", "spend")


def event(type: Any, at: int = START, **more: Any) -> Event:  # noqa: A002 - this is the name of the field
    """Make an event of the user ``u``; its id follows from type and time."""
    return Event(id=f"{type}{at}", user=more.pop("user", "u"), type=type, at=at, **more)


def facts_of(*events: Event, zone: ZoneInfo | None = None, cutoffs: Cutoffs = NO_CUTOFFS) -> Facts:
    """Reduce events to facts, without the other work of the fold."""
    facts = Facts()
    for one in events:
        reduce_facts(facts, one, zone, cutoffs)
    return facts


def facts_after(arrivals: list[tuple[Event, int]], end: int) -> Facts:
    """Fold events of the user ``u``, each with its time of arrival, and return the facts when the clock is at ``end``.

    The times of arrival are the timestamps of the records, on the wall clock.
    """
    contents: list[Event | Control] = [Clock("wall"), *(one for one, _ in arrivals), Tick(at=0), Tick(at=0)]
    timestamps = [START, *(read for _, read in arrivals), end, end]
    log = [record._replace(timestamp=at) for record, at in zip(written(contents), timestamps, strict=True)]
    state, _ = fold_log(log, itertools.repeat(7))
    return unpack(state.records[b"u"]).facts


def assert_same(one: Facts, other: Facts) -> None:
    """Assert that two sets of facts are equal, except where the sequence of the events may change them.

    Floats may differ in the last bits. The recent items of one moment may have any sequence.
    """
    assert _exact(one) == _exact(other)
    assert _floats(one) == pytest.approx(_floats(other), rel=1e-9)


def _exact(facts: Facts) -> dict[str, Any]:
    values = {name: getattr(facts, name) for name in facts.__struct_fields__}
    for name in ("seen_ids", "window", "gap", "categories", *DECAYED):
        del values[name]
    values["recent"] = sorted((recent.at, recent.item, recent.weight) for recent in facts.recent)
    return values


def _floats(facts: Facts) -> dict[str, float]:
    values = {f"category {name}": value for name, value in facts.categories.items()}
    for name in DECAYED:
        decay = getattr(facts, name)
        values |= {f"{name} {number}": value for number, value in enumerate(levels(decay, END))}
    return values | {"gap": facts.gap}
