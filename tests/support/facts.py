"""Events and the facts that follow from them, for tests that compare facts."""

from __future__ import annotations

import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.events import Event
from models.log import Control, Tick, opening
from models.profile import statements
from models.profile.codec import unpack
from models.profile.decay import shares
from models.profile.numbers import (
    ACTIVITY,
    CARTS,
    PURCHASES,
    SPEND,
    VIEWS,
    WIDTH,
    new_numbers,
    numbers_of,
    put_back,
)
from models.profile.reducers import NO_CUTOFFS, Cutoffs, reduce_facts
from models.profile.state import Facts
from models.units import DAY
from tests.support.event_logs import START, fold_log, written

END = START + 30 * DAY
"""Time at which decayed counts are compared; it is after all events."""
DECAYED = {"activity": ACTIVITY, "views": VIEWS, "carts": CARTS, "purchases": PURCHASES, "spend": SPEND}


def event(type: Any, at: int = START, **more: Any) -> Event:  # noqa: A002 - this is the name of the field
    """Make an event of the user ``u``; its id follows from type and time."""
    return Event(id=f"{type}{at}", user=more.pop("user", "u"), type=type, at=at, **more)


def fold_consent(facts: Facts, one: Event) -> None:
    """Fold the statements of an event about consent, without settings."""
    if (statement := statements.statement_of(facts, one)) is not None:
        statements.withdraw(facts, statement, one)
    if one.type == "consent" and one.is_grant:
        statements.grant(facts, one)


def facts_of(*events: Event, zone: ZoneInfo | None = None, cutoffs: Cutoffs = NO_CUTOFFS) -> Facts:
    """Reduce events to facts, without the rest of the fold."""
    facts, numbers = Facts(), new_numbers()
    for one in events:
        fold_consent(facts, one)
        reduce_facts(facts, numbers, one, zone, cutoffs)
    put_back(numbers, facts)
    assert numbers == numbers_of(facts)
    return facts


def facts_after(arrivals: list[tuple[Event, int]], end: int) -> Facts:
    """Fold events of the user ``u``, each with its time of arrival, and return the facts when the clock is at ``end``.

    The times of arrival are the timestamps of the records, on the wall clock. The time since which the user is known is
    left out, because it is that of the event that was read first.
    """
    contents: list[Event | Control] = [opening("wall"), *(one for one, _ in arrivals), Tick(at=0), Tick(at=0)]
    timestamps = [START, *(read for _, read in arrivals), end, end]
    log = [record._replace(timestamp=at) for record, at in zip(written(contents), timestamps, strict=True)]
    state, _ = fold_log(log, itertools.repeat(7))
    facts = unpack(state.records[b"u"]).facts
    facts.known_since = 0
    return facts


def assert_same(one: Facts, other: Facts) -> None:
    """Assert that two sets of facts are equal, except where the sequence of the events may change them.

    Floats may differ in the last bits. The recent items of one moment may have any sequence.
    """
    assert _exact(one) == _exact(other)
    assert _floats(one) == pytest.approx(_floats(other), rel=1e-9)


def _exact(facts: Facts) -> dict[str, Any]:
    values = {name: getattr(facts, name) for name in facts.__struct_fields__}
    for name in ("seen_ids", "window", "gap", "categories", "decayed"):
        del values[name]
    values["recent"] = sorted((recent.at, recent.item, recent.weight) for recent in facts.recent)
    return values


def _floats(facts: Facts) -> dict[str, float]:
    values = {f"category {name}": value for name, value in facts.categories.items()}
    numbers = numbers_of(facts)
    for name, place in DECAYED.items():
        left = shares(END - int(numbers[place]))
        counts = numbers[place + 1 : place + WIDTH]
        found = (count * share for count, share in zip(counts, left, strict=True))
        values |= {f"{name} {number}": value for number, value in enumerate(found)}
    return values | {"gap": facts.gap}
