"""New segments read the history of a log in which visitors log in, on both brokers and while users are folded."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from models.conditions.program import ConditionProgram
from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.events import Event
from models.fold import prospects
from models.fold.conditions_in_use import AskedConditions
from models.fold.members import key_of, read_members
from models.fold.prospects import ConditionsPlan, ProspectiveCounts
from models.units import now_ms
from stream.cluster import topics
from stream.installation.applying import ApplyOptions, apply_plan, publish_in_use, read_plan
from stream.log.event_log import EventLog
from stream.rebuild.history import History
from stream.settings import loading
from tests.support.brokers import Cluster
from tests.support.merging_shop import TestRouter, Visiting, fold_all, in_use, log_of, settle
from tests.support.persons import Persons
from tests.support.two_passes import customers, fold_in_two_passes

PARTITIONS = 3
SEGMENTS = [
    {"name": "fillers", "when": {"event": "cart_add", "times": {"at_least": 3}, "within": "2h"}},
    {"name": "asking", "when": {"event": "support_message", "times": {"at_least": 2}, "within": "2h"}},
    {"name": "quick", "when": {"sequence": [{"event": "click"}, {"event": "cart_add"}], "within": "1h"}},
]


class _Listener:
    """A receiver that keeps the numbers."""

    counts: ProspectiveCounts

    def planned(self, records: int) -> None:
        assert records > 0

    def folded(self, partition: int, position: int, now: int) -> None: ...

    def counted(self, counts: ProspectiveCounts) -> None:
        self.counts = counts

    def brought(self, records: int) -> None:
        assert records > 0


def wanted() -> Configuration:
    return parse({"segments": SEGMENTS}, {})


def asked() -> AskedConditions:
    return AskedConditions(wanted().segments)


async def test_members_are_counted_with_what_they_did_as_visitors(cluster: Cluster) -> None:
    persons, partitions = Persons(PARTITIONS), range(PARTITIONS)
    persons.now = now = now_ms()  # the broker writes its own time
    for number in range(4):
        user, visitor = f"u{number}", f"anonymous:a{number}"
        for count in range(2 + number):
            persons.tell(Event(id=f"{user}-{count}", user=visitor, type="cart_add", at=now, item="sku1"))
        persons.tell(Event(id=f"{user}-in", user=user, type="identify", at=now, anonymous=visitor))
        persons.settle()
    await asyncio.to_thread(topics.create, cluster.connection, PARTITIONS, 1)
    async with EventLog(cluster.connection, PARTITIONS) as log:
        records = [(one, *record[2:]) for one in partitions for record in persons.logs[one]]
        await log.write_at([(one, key or b"", value or b"") for one, key, value in records])
    history = History(cluster.connection, PARTITIONS, ConditionsPlan(wanted(), None), _Listener())

    await history.fold()

    assert history.counts(is_brought=True).members == {"fillers": 3, "asking": 0, "quick": 0}


@pytest.mark.kafka
async def test_users_who_log_in_meanwhile_are_in_new_segments_as_if_these_had_always_been_there(
    kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prospects, "MIN_DIFFERENT_USERS", 1_000)  # users act all the time here
    connection, visiting, router = kafka.connection, Visiting(1), TestRouter(kafka.connection, PARTITIONS)
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    file = tmp_path / "perennial.yaml"
    section = f"{{servers: '{connection.servers}', prefix: {connection.prefix}, partitions: {PARTITIONS}}}"
    file.write_text(f"version: 1\nkafka: {section}\n")
    is_done, shown = asyncio.Event(), _Listener()
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        await publish_in_use(connection, PARTITIONS, parse({}, {}))
        await log.append(visiting.events(200))
        await settle(connection, PARTITIONS, router, log)

        async def shop() -> None:
            while not is_done.is_set():
                await log.append(visiting.events(5))
                await fold_all(connection, PARTITIONS)
                await router.move(log)

        shopping = asyncio.create_task(shop())
        plan = await read_plan(connection, wanted())
        await apply_plan(loading.load(file, environment={}), plan, ApplyOptions(), shown)
        is_done.set()
        await shopping
        await log.append(visiting.events(60))  # these move the clock, so that all users come to the segments
        await settle(connection, PARTITIONS, router, log)

    states = await in_use(connection, PARTITIONS)
    again = fold_in_two_passes(await log_of(connection, PARTITIONS), watched=asked())
    found, expected = (
        {user: set(one.ledger.memberships.since) for user, one in customers(each).items() if one.ledger.memberships}
        for each in (states, again)
    )
    assert found == expected
    assert sum(user.startswith("m-u") for user in found) > 10
    assert shown.counts.members["fillers"] > 5
    counts = [
        Counter({one.name: read_members(state.records.get(key_of(one.name))).number for one in wanted().segments})
        for state in states
    ]
    program = ConditionProgram(wanted().segments)
    keys = {segment.name: segment.key for segment in program.segments}
    for name, key in keys.items():
        assert sum(count[name] for count in counts) == sum(key in segments for segments in found.values())
