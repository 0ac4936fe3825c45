"""Workers of this release and of an earlier one fold one log in turn on Apache Kafka, until the upgrade is finished.

By default, the earlier release is today's code that knows one format level less; see :mod:`tests.support.old_worker`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from models.batch import Restored
from models.errors import StateMismatch
from models.events import Event
from models.fold.memo import level_of, read_memo
from models.levels import FIRST, LEVEL, NEWEST, SCHEMA_OF_LEVEL, UnknownLevel
from models.log import Clock, Use, encode_control, is_control
from models.profile.codec import SCHEMA, pack, unpack
from models.profile.state import Customer
from models.recommend.interactions import WEIGHTS, decode_interaction
from stream import cli
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.engine.state import restore
from stream.engine.testing import LaneHarness, MemoryPartition
from stream.log.event_log import EventLog
from stream.worker.topology import fold_agents
from tests.chaos.reference import Reference, committed
from tests.support.brokers import Cluster
from tests.support.counting import record
from tests.support.old_worker import FROM, folding_worker
from tests.support.shop import Shoppers
from tests.support.workers import running_worker

PARTITIONS = 4
EVERYTHING = set(range(PARTITIONS))
OLD, NEW = "tests.support.old_worker", "tests.support.folding_worker"


class UpgradingShop:
    """Sender of events that knows how many of them are folded."""

    def __init__(self, connection: Connection, log: EventLog) -> None:
        self.connection = connection
        self.sent: list[Event] = []
        self.ends = [0] * PARTITIONS
        self._log = log
        self._shoppers = Shoppers(1)

    async def send(self, count: int = 200) -> None:
        events = self._shoppers.events(count)
        for written in await self._log.append(events):
            self.ends[written.partition] = max(self.ends[written.partition], written.offset + 1)
        self.sent += events

    async def states(self) -> list[Restored]:
        return [await restore(self.connection, "profiles", number, in_use=True) for number in range(PARTITIONS)]

    async def folded(self, partitions: set[int], within_s: float = 60) -> None:
        """Wait until these partitions are folded up to the last event sent."""
        async with asyncio.timeout(within_s):
            while True:
                states = await self.states()
                if all(states[partition].position >= self.ends[partition] for partition in partitions):
                    return
                await asyncio.sleep(0.2)  # poll: a state topic sends no notification

    async def send_and_fold(self) -> None:
        await self.send()
        await self.folded(EVERYTHING)

    async def has_level(self, level: int, within_s: float = 60) -> None:
        """Wait until each partition has this level."""
        async with asyncio.timeout(within_s):
            while True:
                if {level_of(read_memo(state)) for state in await self.states()} == {level}:
                    return
                await asyncio.sleep(0.2)  # poll: a state topic sends no notification

    async def schemas(self) -> set[int]:
        """Return the schema versions of all users."""
        return {packed[0] for state in await self.states() for packed in users(state).values()}


def users(state: Restored) -> dict[bytes, bytes]:
    return {key: packed for key, packed in state.records.items() if not is_control(key)}


async def logged(log: Path, *words: str, within_s: float = 60) -> str:
    """Wait until a log contains all of these words, and return the log."""
    async with asyncio.timeout(within_s):
        while True:
            text = await asyncio.to_thread(log.read_text)
            if all(word in text for word in words):
                return text
            await asyncio.sleep(0.1)  # poll: a file sends no notification


class Upgrade:
    """The command ``perennial upgrade`` of this release."""

    def __init__(self, connection: Connection, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._file, self._capsys = folder / "perennial.yaml", capsys
        kafka = {"servers": connection.servers, "prefix": connection.prefix, "partitions": PARTITIONS}
        self._file.write_text(json.dumps({"version": 1, "kafka": kafka}))

    async def call(self, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(FROM, raising=False)  # the command would refuse it, because it looks like a setting
            code = await asyncio.to_thread(cli.run, ["upgrade", *words, "--config", str(self._file)])
        return code, *self._capsys.readouterr()

    async def status(self) -> Any:
        code, shown, error = await self.call("status", "--json")
        assert (code, error) == (0, "")
        return json.loads(shown)


async def _finish(upgrade: Upgrade) -> None:
    """Finish the upgrade; without ``--yes`` the command only says that there is no way back."""
    code, shown, warning = await upgrade.call("finish")
    assert (code, shown) == (2, f"the log would be raised from format level {FIRST} to {NEWEST}\n")
    assert "cannot be undone" in warning
    assert (await upgrade.status())["level"] == FIRST
    code, shown, _ = await upgrade.call("finish", "--yes")
    assert (code, shown) == (0, f"the log has format level {NEWEST} (before: {FIRST}) from its next records on\n")


async def _assert_old_worker_does_no_damage(shop: UpgradingShop, log: Path) -> None:
    """Start an old worker in a log that has the newest level: it changes nothing, and says why."""
    before = await shop.states()
    with running_worker(shop.connection, log, OLD):
        text = await logged(log, *(f"events-{partition}: starts again" for partition in EVERYTHING))
        await shop.send()
        after = await shop.states()
    assert "UnknownLevel" in text or "StateMismatch" in text
    assert [state.position for state in after] == [state.position for state in before]
    assert [(state.memo, state.records) for state in after] == [(state.memo, state.records) for state in before]


async def _assert_nothing_lost_or_twice(shop: UpgradingShop) -> None:
    states = await shop.states()
    counted = {
        key.decode(): Counter(unpack(packed).facts.events) for state in states for key, packed in users(state).items()
    }
    expected: dict[str, Counter[str]] = {}
    for event in shop.sent:
        expected.setdefault(event.user, Counter())[event.type] += 1
    assert counted == expected
    records = await committed(shop.connection, "interactions", PARTITIONS)
    found = [decode_interaction(record.value) for record in records]
    met = Counter((one.user, one.type, one.item) for one in found)
    assert met == Counter((e.user, e.type, e.item or e.lines[0].item) for e in shop.sent if e.type in WEIGHTS)


async def _assert_replay_gives_the_same_bytes(shop: UpgradingShop) -> None:
    """Check that one fold of the whole log by new code gives the bytes that the workers have written in turn.

    The numbers of a user may differ in their last bits if the mathematics of the real old code is another one.
    """
    async with Reference(shop.connection, PARTITIONS) as reference:
        await reference.catch_up()
    found = await shop.states()
    assert reference.positions == [state.position for state in found]
    assert [state.memo for state in reference.states] == [state.memo for state in found]
    if FROM not in os.environ:
        assert [users(state) for state in reference.states] == [users(state) for state in found]
    for expected, state in zip(reference.states, found, strict=True):
        schemas = {key: packed[0] for key, packed in users(state).items()}
        assert schemas == {key: packed[0] for key, packed in users(expected).items()}


@pytest.mark.kafka
@pytest.mark.slow
async def test_old_and_new_workers_take_turns_without_a_gap_until_the_upgrade_is_finished(
    kafka: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection, upgrade = kafka.connection, Upgrade(kafka.connection, tmp_path, capsys)
    await asyncio.to_thread(topics.create, connection, PARTITIONS)
    async with EventLog(connection, PARTITIONS) as log:
        await log.broadcast(*encode_control(Clock("wall")))  # as the release before created it
        shop = UpgradingShop(connection, log)
        with running_worker(connection, tmp_path / "old.log", OLD) as old:
            await shop.send_and_fold()

            # New workers join and leave again, and each time the old one continues with what they have written.
            for turn in range(2):
                new_log = tmp_path / f"new_{turn}.log"
                with running_worker(connection, new_log, NEW):
                    await logged(new_log, ": open at")
                    await shop.send_and_fold()
                    status = await upgrade.status()
                    assert sorted(one["old"] for one in status["workers"]) == [False, True]
                    code, _, error = await upgrade.call("finish", "--yes")
                    assert (code, "1 worker of 2 still run" in error) == (2, True)
                await shop.send_and_fold()
                assert await shop.schemas() == {SCHEMA_OF_LEVEL[FIRST]}

            with running_worker(connection, tmp_path / "again.log", NEW) as new:
                await logged(tmp_path / "again.log", ": open at")
                old.terminate()
                await asyncio.to_thread(old.wait)
                await shop.send_and_fold()
                assert await shop.schemas() == {SCHEMA_OF_LEVEL[FIRST]}
                await _finish(upgrade)
                await shop.has_level(NEWEST)
                await shop.send_and_fold()
                assert SCHEMA_OF_LEVEL[NEWEST] in await shop.schemas()
                new.terminate()
                await asyncio.to_thread(new.wait)

        await _assert_old_worker_does_no_damage(shop, tmp_path / "refused.log")
        with running_worker(connection, tmp_path / "last.log", NEW) as last:
            await shop.send_and_fold()
            status = await upgrade.status()
            assert (status["level"], status["can_go_back"]) == (NEWEST, False)
            last.terminate()
            await asyncio.to_thread(last.wait)
    await _assert_nothing_lost_or_twice(shop)
    await _assert_replay_gives_the_same_bytes(shop)


def test_the_fold_of_a_checkout_is_found_in_any_package_of_its_tests(tmp_path: Path) -> None:
    package = tmp_path / "tests" / "stream" / "rebuild"
    package.mkdir(parents=True)
    (package / "folding_worker.py").touch()

    assert folding_worker(tmp_path) == "tests.stream.rebuild.folding_worker"
    assert folding_worker(Path(__file__).parents[2]) == NEW


async def test_a_lane_that_meets_a_higher_level_reports_it_and_does_not_commit() -> None:
    (fold,) = (spec for spec in fold_agents() if spec.name == "fold_customers")
    key, value = encode_control(Use(LEVEL, NEWEST + 1, b"null"))  # type: ignore[arg-type]
    before = MemoryPartition(position=0)
    log = [record(0), record(1)._replace(key=key, value=value), record(2)]
    async with LaneHarness(fold, log, before) as harness:
        await harness.until(lambda: bool(harness.observer.errors))

    (error, *_) = harness.observer.errors
    assert isinstance(error, UnknownLevel)
    assert f"at offset 1: found format level {NEWEST + 1}; allowed: 1 to {NEWEST}" in str(error)
    assert (harness.partition.position, harness.partition.commits, harness.partition.state) == (0, [], {})


async def test_a_lane_that_finds_state_of_a_later_schema_reports_it_and_neither_commits_nor_opens() -> None:
    (fold,) = (spec for spec in fold_agents() if spec.name == "fold_customers")
    later = bytes((SCHEMA + 1,)) + pack(Customer())[1:]
    before = MemoryPartition(position=1, state={b"u1": later})
    async with LaneHarness(fold, [record(0), record(1)], before) as harness:
        await harness.until(lambda: bool(harness.observer.errors))

    assert isinstance(harness.observer.errors[0], StateMismatch)
    assert f"schema version {SCHEMA + 1}; this code reads version {SCHEMA}" in str(harness.observer.errors[0])
    assert (harness.partition.position, harness.partition.commits, harness.partition.state) == (1, [], {b"u1": later})
