"""Entries of journeys that concern users who are there already: by schedule, or with ``existing: enter``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from models.configuration.journeys.definition import Entry, Journey, ScheduleTrigger, SegmentTrigger


class AskedEntry(NamedTuple):
    """The entry of a journey that concerns users who are there already: by schedule, or with ``existing: enter``."""

    journey: str
    enter: Entry

    @property
    def taken(self) -> str:
        """The segment whose members enter when the journey is applied; empty for none."""
        on = self.enter.on
        return on.segment if self.enter.takes_existing and isinstance(on, SegmentTrigger) else ""


def asked_entries(journeys: Iterable[Journey]) -> tuple[AskedEntry, ...]:
    """Return the entries of journeys that concern users who are there already."""
    return tuple(
        AskedEntry(one.name, one.enter)
        for one in journeys
        if one.enter.takes_existing or isinstance(one.enter.on, ScheduleTrigger)
    )


class Taking(NamedTuple):
    """The generations at which users enter a journey because they are members of its segment already.

    Attributes
    ----------
    applied
        Members of an earlier generation enter when they come to the conditions.
    known
        Users of an earlier generation enter if they become members then, because the segment's history was brought.
    """

    applied: int
    known: int = 0
