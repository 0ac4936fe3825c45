"""Statistics of a generated load: visits, their overlap, users and kinds of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from models.events import decode_event
from models.log import is_control
from models.units import DAY, MINUTE

BATCH = 2_000
"""Number of events of a batch."""
MIN_APART_MS = 30 * MINUTE
"""Minimum pause between two visits of a user, as the usual definition of a visit says."""


@dataclass(frozen=True, slots=True)
class LoadStatistics:
    """Statistics of a load.

    Attributes
    ----------
    events, users, visits
        Number of events, of users with at least one, and of visits.
    days
        Time from the first event to the last.
    at_a_time
        Mean number of visits in progress.
    users_of_batch
        Mean number of users in a batch of 2,000 events.
    user_days
        Number of different pairs of user and day for each event.
    by_one_percent
        Share of the events that the most active percent of the users cause.
    types
        Share of each type of event.
    """

    events: int
    users: int
    visits: int
    days: float
    at_a_time: float
    users_of_batch: float
    user_days: float
    by_one_percent: float
    types: dict[str, float]


def statistics(load: Iterable[tuple[bytes, bytes]]) -> LoadStatistics:
    """Measure a load, in one pass."""
    types, done = Counter[str](), Counter[str]()
    days = set[tuple[str, int]]()
    last = dict[str, int]()
    batch, batches, events, visits, spent, at, first = set[str](), list[int](), 0, 0, 0, 0, 0
    for key, value in load:
        if is_control(key):
            continue
        event = decode_event(value)
        at = event.at
        first = first or at
        events += 1
        types[event.type] += 1
        done[event.user] += 1
        days.add((event.user, at // DAY))
        pause = at - last.get(event.user, at - MIN_APART_MS)
        visits += pause >= MIN_APART_MS
        spent += pause if pause < MIN_APART_MS else 0
        last[event.user] = at
        batch.add(event.user)
        if events % BATCH == 0:
            batches.append(len(batch))
            batch.clear()
    return LoadStatistics(
        events=events,
        users=len(done),
        visits=visits,
        days=(at - first) / DAY,
        at_a_time=spent / max(1, at - first),
        users_of_batch=sum(batches) / max(1, len(batches)),
        user_days=len(days) / events,
        by_one_percent=sum(count for _, count in done.most_common(max(1, len(done) // 100))) / events,
        types={name: count / events for name, count in types.most_common()},
    )
