"""A feeder waits for the records between profiles, so a person who logs in is as if known from the start."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from models.batch import Record
from models.events import ANONYMOUS, Event, decode_event
from models.log import Tick, decode_control, is_control
from models.profile.codec import unpack
from models.profile.state import Customer
from models.storefront.storefront import Storefront
from models.units import HOUR, MINUTE
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.feed.feeder import Pace
from stream.feed.feeding import feeding
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog
from stream.settings.loading import load
from stream.worker.topology import fold_agents
from tests.support.facts import assert_same
from tests.support.inprocess import running_app

START = 1_767_571_200_000
PARTITIONS = 2
SECOND_TAB = 0.08
"""Share of the events after a login that still have the anonymous id."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(None, tmp_path_factory.mktemp("broker")) as running:
        yield running


async def fed(broker: EmbeddedBroker, folder: Path, prefix: str, events: Sequence[Event]) -> Connection:
    """Feed events into a new log, whose clock moves hour by hour, and return when all is folded."""
    flags = {"kafka.servers": broker.address, "kafka.embedded": True, "kafka.prefix": prefix}
    file = folder / "perennial.yaml"
    file.write_text("version: 1\n")
    settings = load(file, {**flags, "kafka.partitions": PARTITIONS})
    connection = settings.connection()
    topics.create(connection, PARTITIONS)
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("feeder")
    async with (
        running_app(connection, fold_agents(), name="fold"),
        feeding(settings, Pace(tick_ms=HOUR), lambda events, now: None) as feeder,
    ):
        await feeder.feed(events, until=events[-1].at // HOUR * HOUR + HOUR)
        await feeder.drain()
    return connection


async def read(connection: Connection, topic: str) -> list[tuple[int, Record]]:
    """Return the records of a topic, each with its partition."""
    async with TopicReader(connection, partitions_of(connection, topic, PARTITIONS)) as reader:
        return [(place.partition, one) async for place, records in reader.read_to_end() for one in records]


async def profiles(connection: Connection) -> dict[str, Customer]:
    """Return the newest state of each user."""
    return {
        record.key.decode(): unpack(record.value)
        for _, record in await read(connection, "profiles")
        if record.key is not None and record.value is not None and not is_control(record.key)
    }


def event(number: int, user: str, at: int, type_: str = "click", **more: object) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=START + at, item="sku1", origin="simulate", **more)  # type: ignore[arg-type]


def month() -> list[Event]:
    """Return the events of a month in which shoppers log in, and then go on in a second tab without a login."""
    rng, visitors, events = random.Random(4), dict[str, str](), []
    for one in Storefront(seed=4, shoppers=60, days=30, start_ms=START, logins=0.6).events():
        if one.anonymous is not None:
            visitors[one.user] = one.anonymous
        elif one.user in visitors and rng.random() < SECOND_TAB:
            one = replace(one, user=visitors[one.user])
        events.append(one)
    return events


@pytest.mark.slow
async def test_a_month_with_logins_equals_a_month_in_which_all_ids_are_known_from_the_start(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    events = month()
    owners = {one.anonymous: one.user for one in events if one.anonymous is not None}
    assert len(owners) > 15
    as_one = [replace(one, user=owners.get(one.user, one.user), anonymous=None) for one in events]

    found = await profiles(await fed(broker, tmp_path, "linked.", events))
    reference = await profiles(await fed(broker, tmp_path, "known.", as_one))

    assert {user for user, one in found.items() if one.facts.events} == reference.keys()
    for user, expected in reference.items():
        facts = (found[user].facts, expected.facts)
        for one in facts:  # the statements that are remembered may have another order
            one.stated = b"".join(sorted(one.stated[i : i + 8] for i in range(0, len(one.stated), 8)))
        assert_same(*facts)
    identities = [one.identity for one in found.values() if one.identity is not None]
    assert sum(one.owner.number for one in identities if one.owner is not None) > 50


async def test_no_tick_comes_before_the_records_that_earlier_logins_have_caused(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    events = [event(number, f"{ANONYMOUS}a{number}", number * 7 * MINUTE) for number in range(20)]
    for number in range(20):
        at = (10 + number) * 7 * MINUTE
        events.append(event(100 + number, f"u{number}", at, "identify", anonymous=f"{ANONYMOUS}a{number}"))
        events.append(event(200 + number, f"{ANONYMOUS}a{number}", at + 3 * HOUR))
    events.sort(key=lambda one: one.at)

    connection = await fed(broker, tmp_path, "ticks.", events)

    now: dict[int, int] = {}
    late = []
    for partition, record in await read(connection, "events"):
        if not is_control(record.key):
            one = decode_event(record.value or b"")
            if one.identity is not None:
                late.append(now[partition] - one.at)
        elif isinstance(control := decode_control(record.value or b""), Tick):
            now[partition] = control.at
    assert len(late) == 20 * 3
    assert max(late) < HOUR


async def test_the_feeder_does_not_wait_for_records_that_never_come(broker: EmbeddedBroker, tmp_path: Path) -> None:
    began = time.monotonic()
    visitor = f"{ANONYMOUS}a1"
    events = [
        event(1, visitor, 0),
        event(2, "u1", MINUTE, "identify", anonymous=visitor),
        event(2, "u1", 2 * HOUR, "identify", anonymous=visitor),  # a repeat
        event(3, visitor, 4 * HOUR),
        event(3, visitor, 6 * HOUR),  # a repeat
        replace(event(4, "u2", 8 * HOUR, "identify", anonymous=visitor), origin="test"),
        event(5, "u3", 10 * HOUR, "identify", anonymous=f"{ANONYMOUS}a2"),
    ]

    await fed(broker, tmp_path, "never.", events)

    assert time.monotonic() - began < 60
