"""Read the events and the local times that several parts of a journey name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from models.conditions.parsing import event_where
from models.conditions.schema import Wherever
from models.configuration.journeys.definition import EventMatch, LocalTime
from models.configuration.journeys.written import Weekday

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Days of the week in their order."""


class WrittenMatch(Protocol):
    """A written form that names an event."""

    @property
    def event(self) -> str:
        """Name or type of the event."""

    @property
    def where(self) -> Wherever | None:
        """Comparisons of its properties."""


def event_match(written: WrittenMatch, path: str, kept: Collection[str]) -> EventMatch:
    """Read an event, whose properties may be compared with those of the entry that a run keeps.

    Parameters
    ----------
    written
        The written form.
    path
        Its path in the file, for errors.
    kept
        Names of the kept properties.
    """
    return EventMatch(written.event, event_where(written.where, f"{path}.where", kept))


def local_time(time: str, days: Iterable[Weekday] | None, zone: str = "") -> LocalTime:
    """Return a time of day on some days of the week.

    Examples
    --------
    >>> local_time("09:30", ["tue", "mon"])
    LocalTime(minute=570, days=(0, 1), zone='')
    """
    return LocalTime(
        int(time[:2]) * 60 + int(time[3:]), tuple(sorted(WEEKDAYS.index(day) for day in set(days or ()))), zone
    )
