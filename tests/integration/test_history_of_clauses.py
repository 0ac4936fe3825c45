"""New segments read the history of a live log on Apache Kafka while events arrive and are folded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from models.batch import Batch, Restored
from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.fold import prospects
from models.fold.conditions_in_use import AskedConditions
from models.fold.members import key_of, read_members
from models.fold.partition import PartitionFold
from models.fold.prospects import ConditionsPlan, ProspectiveCounts
from models.log import is_control
from models.profile.codec import unpack
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.installation.applying import ApplyOptions, apply_plan, publish_in_use, read_plan
from stream.log.event_log import EventLog
from stream.rebuild.history import History
from stream.rebuild.reading import read_log
from stream.settings import loading
from tests.support.brokers import Cluster
from tests.support.shop import Owner, Shoppers

PARTITIONS = 2
SEGMENTS = [
    {"name": "clickers", "when": {"event": "click", "times": {"at_least": 3}, "within": "2h"}},
    {
        "name": "buyers",
        "when": {"event": "purchase", "sum": "amount", "currency": "USD", "at_least": 5, "within": "1h"},
    },
    {"name": "quick", "when": {"sequence": [{"event": "cart_add"}, {"event": "purchase"}], "within": "1h"}},
    {"name": "silent", "when": {"absent": "support_message", "for": "90d"}},
]


class _Watch:
    """A receiver that keeps the numbers."""

    def __init__(self) -> None:
        self.counts = ProspectiveCounts(0, {}, {}, {})
        self.records = 0

    def planned(self, records: int) -> None:
        assert records > 0

    def folded(self, partition: int, position: int, now: int) -> None:
        assert now > 0
        assert position > 0 <= partition

    def counted(self, counts: ProspectiveCounts) -> None:
        self.counts = counts

    def brought(self, records: int) -> None:
        self.records = records


def wanted() -> Configuration:
    return parse({"segments": SEGMENTS}, {})


async def ends(connection: Connection) -> list[int]:
    places = partitions_of(connection, "events", PARTITIONS)
    async with TopicReader(connection, places) as reader:
        found = await reader.ends()
    return [found[place] for place in places]


def memberships(state: Restored) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the segments of each user who is in one."""
    users = {key.decode(): unpack(packed) for key, packed in state.records.items() if not is_control(key)}
    return {
        name: tuple(sorted(user.ledger.memberships.since)) for name, user in users.items() if user.ledger.memberships
    }


async def watched(connection: Connection, partition: int, end: int | None = None) -> Restored:
    """Fold a partition with the segments from its beginning."""
    state = Restored(partition=partition)
    fold = PartitionFold(state, watched=AskedConditions(wanted().segments))
    async for records in read_log(connection, partition, 0, end):
        state.apply(fold.fold(Batch("events", partition, records)).commit, records[-1].offset + 1)
    return state


@pytest.mark.parametrize("shopper", [3])
async def test_users_of_a_live_log_are_in_new_segments_as_if_these_had_always_been_there(
    kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shopper: int
) -> None:
    monkeypatch.setattr(prospects, "MIN_DIFFERENT_USERS", 1_000)  # users act all the time here
    connection, shoppers = kafka.connection, Shoppers(shopper)
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    file = tmp_path / "perennial.yaml"
    section = f"{{servers: '{connection.servers}', prefix: {connection.prefix}, partitions: {PARTITIONS}}}"
    file.write_text(f"version: 1\nkafka: {section}\n")
    settings = loading.load(file, environment={})
    owners = [Owner(connection, partition) for partition in range(PARTITIONS)]
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        await log.append(shoppers.events(400))
        await publish_in_use(connection, PARTITIONS, parse({}, {}))
        for owner in owners:
            await owner.take_over()
        is_done = asyncio.Event()

        async def fold() -> None:
            while not is_done.is_set():
                await log.append(shoppers.events(3))
                for owner, end in zip(owners, await ends(connection), strict=True):
                    await owner.fold_to(end)

        folding, watch = asyncio.create_task(fold()), _Watch()
        plan = await read_plan(connection, wanted())
        applied = await apply_plan(settings, plan, ApplyOptions(), watch)
        is_done.set()
        await folding
        await log.append(shoppers.events(60))  # these move the clock, so that all users come to the segments
        last = await ends(connection)
        for owner, end in zip(owners, last, strict=True):
            await owner.fold_to(end)
            await owner.leave()

    assert len(plan.clauses) == len(SEGMENTS)
    assert applied.changed
    assert watch.counts.users >= 30
    assert watch.records >= 30
    for owner, end in zip(owners, last, strict=True):
        expected = await watched(connection, owner.state.partition, end)
        assert memberships(owner.state) == memberships(expected)
        assert memberships(expected)
        for segment in SEGMENTS:
            key = key_of(str(segment["name"]))
            counted, reference = read_members(owner.state.records.get(key)), read_members(expected.records.get(key))
            assert counted.number == reference.number
    assert (await read_plan(connection, wanted())).clauses == frozenset()


async def test_the_members_are_counted_up_to_the_end_of_the_log_before_anything_is_applied(cluster: Cluster) -> None:
    connection, plan = cluster.connection, ConditionsPlan(wanted(), None)
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        await log.append(Shoppers(5).events(600))
    history = History(connection, PARTITIONS, plan, _Watch())

    await history.fold()

    found = [await watched(connection, partition) for partition in range(PARTITIONS)]
    expected = {
        segment.name: sum(read_members(state.records.get(key_of(segment.name))).number for state in found)
        for segment in plan.asked.segments
    }
    assert history.counts(is_brought=True).members == expected
    assert expected["clickers"] > 0 == expected["silent"]
