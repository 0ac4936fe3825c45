"""Choice of a load: the visits of a shop, or single events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypedDict, Unpack

from models.events import Origin
from tests.benchmarks.load import BenchLoad
from tests.benchmarks.load_visits import VISITS_PER_PURCHASE, VisitLoad


class Workload(StrEnum):
    """Name of a load."""

    VISITS = "visits"
    VISITS_10 = "visits-10"
    VISITS_40 = "visits-40"
    SINGLE = "single"


VARIED: tuple[Workload, ...] = (Workload.VISITS_10, Workload.VISITS_40)
"""Loads with half and twice the assumed number of visits for each purchase."""
_VISITS_PER_PURCHASE = {
    Workload.VISITS: VISITS_PER_PURCHASE,
    Workload.VISITS_10: VISITS_PER_PURCHASE / 2,
    Workload.VISITS_40: VISITS_PER_PURCHASE * 2,
}
_TITLES = {
    Workload.VISITS: "visits",
    Workload.VISITS_10: "visits, 10 for each purchase",
    Workload.VISITS_40: "visits, 40 for each purchase",
    Workload.SINGLE: "single events",
}


class Records(Protocol):
    """Keys and values of a load, in order of time; each iteration begins at the first one."""

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each record."""
        ...


class LoadShape(TypedDict, total=False):
    """Parameters that all loads have, beside the number of events.

    Attributes
    ----------
    items
        Number of items.
    seed
        Seed; the same one gives the same bytes.
    days
        Length of the log, above 0 for visits.
    origin
        Origin of every event.
    """

    items: int
    seed: int
    days: float
    origin: Origin


def load_of(workload: Workload, events: int, users: int | None = None, **shape: Unpack[LoadShape]) -> Records:
    """Return a load.

    Parameters
    ----------
    workload
        Its name.
    events
        Number of events.
    users
        Number of users. By default, single events have 200,000 users, and visits as many as the fitted laws give.
    **shape
        Other parameters.
    """
    if workload is not Workload.SINGLE:
        return VisitLoad(events, users, visits_per_purchase=_VISITS_PER_PURCHASE[workload], **shape)
    return BenchLoad(events=events, **shape) if users is None else BenchLoad(events=events, users=users, **shape)


def title_of(content: Mapping[str, Any]) -> str:
    """Return the words for the load of a measurement; the oldest files name no load, and are of single events."""
    return _TITLES[Workload(content.get("load", Workload.SINGLE))]
