"""The newest events of the log, and no others, are read for the checks of conditions."""

from __future__ import annotations

import asyncio

from models.events import Event
from stream.cluster import topics
from stream.installation.log_sample import newest_events
from stream.log.event_log import EventLog
from tests.support.brokers import Cluster


def custom(number: int, name: str, user: str) -> Event:
    return Event(id=f"m{number}", user=user, type="custom", name=name, at=1_770_000_000_000 + number)


async def write(cluster: Cluster, events: list[Event]) -> None:
    topics.create(cluster.connection, 2)
    async with EventLog(cluster.connection, 2) as log:
        await log.ensure_clock("wall")
        for event in events:
            await log.append([event])


def test_a_log_without_events_shows_nothing(embedded: Cluster) -> None:
    asyncio.run(write(embedded, []))

    sample = asyncio.run(newest_events(embedded.connection, 2))

    assert (sample.events, sample.sightings.events) == (0, {})


def test_names_and_kinds_of_the_newest_events_are_shown(embedded: Cluster) -> None:
    old = [custom(number, "Old", user) for number in range(40) for user in ("a", "b", "c", "d")]
    new = [custom(100 + number, "New", user) for number in range(40) for user in ("a", "b", "c", "d")]
    traits = [Event(id=f"i{user}", user=user, type="identify", at=1, traits={"plan": "pro"}) for user in "abcd"]
    asyncio.run(write(embedded, [*old, *new, *traits]))

    every = asyncio.run(newest_events(embedded.connection, 2))
    some = asyncio.run(newest_events(embedded.connection, 2, most=20))

    assert (every.events, every.source) == (324, "the newest 324 events")
    assert every.sightings.events.keys() == {"Old", "New", "identify"}
    assert every.sightings.traits == {"plan": {"text"}}
    assert 20 <= some.events < 60  # the embedded broker lists an end that is too low
    assert "Old" not in some.sightings.events
