"""A split whose log has lost its beginning, whose worker does not act, and whose log is rebuilt, on Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kafka import TopicPartition

from models.events import Event
from models.fold.memo import read_memo
from stream.cluster import topics
from stream.cluster.admin import admin
from stream.cluster.partitioner import partition_of
from stream.installation import splitting
from stream.installation.splitting import BeginningLost, NotActed, Splitting
from stream.log.event_log import EventLog
from stream.lookup.client import StoredState
from stream.rebuild import shadow_topic
from stream.rebuild.process import Rebuild
from stream.rebuild.shadow import code_in_use
from stream.settings.loading import Settings, load
from tests.support.brokers import Cluster
from tests.support.merging_shop import TestRouter, fold_all, in_use, settle
from tests.support.rebuilding import NoListener
from tests.support.two_passes import customers

VISITOR, USER, PARTITIONS = "anonymous:a1", "u1", 3
START = 1_800_000_000_000
pytestmark = pytest.mark.kafka


class Installed:
    """An installation whose log is folded by the test when a command asks for a profile."""

    def __init__(self, settings: Settings, log: EventLog) -> None:
        self.settings = settings
        self.connection = settings.connection()
        self.log = log
        self.router = TestRouter(self.connection, PARTITIONS)
        self.folds = True

    async def tell(self, *events: Event) -> None:
        await self.log.append(events)
        await settle(self.connection, PARTITIONS, self.router, self.log)

    async def ask_state(self, addresses: object, user: str, own: object) -> StoredState:
        if self.folds:
            await fold_all(self.connection, PARTITIONS)
        state = (await in_use(self.connection, PARTITIONS))[partition_of(user.encode(), PARTITIONS)]
        return StoredState(state.records[user.encode()], read_memo(state).now)

    async def events_of(self, user: str) -> dict[str, int]:
        return customers(await in_use(self.connection, PARTITIONS))[user].facts.events

    async def split(self, *, keep_past: bool = False) -> int:
        work = Splitting(self.settings, USER, VISITOR, NoListener())
        await work.prepare(keep_past=keep_past)
        return await work.run(keep_past=keep_past)


@pytest.fixture
async def installed(kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Installed]:
    """An installation with a visitor who has logged in, and has done something since."""
    connection = kafka.connection
    flags = {"kafka.servers": connection.servers, "kafka.prefix": connection.prefix, "kafka.embedded": False}
    settings = load(None, {**flags, "kafka.partitions": PARTITIONS, "folder": str(tmp_path)}, record=False)
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        found = Installed(settings, log)
        monkeypatch.setattr(splitting, "ask_state", found.ask_state)
        await found.tell(*(Event(id=f"v{n}", user=VISITOR, type="click", at=START + n, item="i") for n in range(4)))
        await found.tell(Event(id="login", user=USER, type="identify", at=START + 9, anonymous=VISITOR))
        await found.tell(Event(id="later", user=VISITOR, type="click", at=START + 10, item="i"))
        assert await found.events_of(USER) == {"identify": 1, "click": 5}
        yield found


async def test_a_log_without_its_beginning_is_refused_unless_past_events_stay(installed: Installed) -> None:
    connection = installed.connection
    place = TopicPartition(connection.topic("events"), partition_of(VISITOR.encode(), PARTITIONS))
    with admin(connection) as client:
        client.delete_records({place: 2})
    with pytest.raises(BeginningLost, match=rf"partition {place.partition} before offset 2 were deleted.*--keep-past"):
        await installed.split()
    assert await installed.events_of(USER) == {"identify": 1, "click": 5}

    assert await installed.split(keep_past=True) == 2
    await installed.tell(Event(id="after", user=VISITOR, type="click", at=START + 20, item="i"))

    assert await installed.events_of(USER) == {"identify": 1, "click": 5}
    assert await installed.events_of(VISITOR) == {"click": 1}


async def test_a_worker_that_does_not_act_in_time_is_named_and_the_same_command_continues(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "WITHIN_S", 0.5)
    installed.folds = False
    with pytest.raises(NotActed, match=f"the worker that owns {VISITOR} has not acted .* run the same command again"):
        await installed.split()
    monkeypatch.undo()
    monkeypatch.setattr(splitting, "ask_state", installed.ask_state)

    installed.folds = True
    assert await installed.split() == 1  # the record for the visitor is in the log already

    assert await installed.events_of(USER) == {"identify": 1}
    assert await installed.events_of(VISITOR) == {"click": 5}


async def test_a_rebuild_obeys_a_split(installed: Installed) -> None:
    connection = installed.connection
    assert await installed.split() == 2
    await installed.tell(Event(id="after", user=VISITOR, type="click", at=START + 20, item="i"))
    before = customers(await in_use(connection, PARTITIONS))
    await asyncio.to_thread(shadow_topic.make, connection, PARTITIONS, 1)

    done = await Rebuild(connection, PARTITIONS, code_in_use(), NoListener()).run()

    assert [(one.outcome, one.changed) for one in done] == [("equal", 0)] * PARTITIONS
    assert customers(await in_use(connection, PARTITIONS)) == before
