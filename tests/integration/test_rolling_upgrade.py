"""Workers of this release and of an earlier one run together on Apache Kafka, and neither misreads any state.

By default, the earlier release is one with the previous schema; see :mod:`tests.support.old_worker`. A real release
may have the schema of today. Then its worker can take over what a new worker has written.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from models.errors import StateMismatch
from models.events import Event
from models.log import is_control
from models.profile.codec import PREVIOUS_SCHEMA, SCHEMA, pack, unpack
from models.profile.state import Customer
from models.recommend.interactions import WEIGHTS, decode_interaction
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.engine.state import restore
from stream.engine.testing import LaneHarness, MemoryPartition
from stream.log.event_log import EventLog
from stream.worker.topology import fold_agents
from tests.chaos.reference import committed
from tests.support.brokers import Cluster
from tests.support.counting import record
from tests.support.old_worker import FROM, folding_worker, old_pack
from tests.support.shop import Shoppers
from tests.support.workers import running_worker

PARTITIONS = 4
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

    async def positions(self) -> list[int]:
        found = [await restore(self.connection, "profiles", number, in_use=True) for number in range(PARTITIONS)]
        return [state.position for state in found]

    async def folded(self, partitions: set[int], within_s: float = 60) -> None:
        """Wait until these partitions are folded up to the last event sent."""
        async with asyncio.timeout(within_s):
            while True:
                positions = await self.positions()
                if all(positions[partition] >= self.ends[partition] for partition in partitions):
                    return
                await asyncio.sleep(0.2)  # poll: a state topic sends no notification

    async def schemas(self) -> list[set[int]]:
        """Return the schema versions of the users in each partition."""
        found = [await restore(self.connection, "profiles", number, in_use=True) for number in range(PARTITIONS)]
        return [{packed[0] for key, packed in state.records.items() if not is_control(key)} for state in found]


async def logged(log: Path, *words: str, within_s: float = 60) -> None:
    """Wait until a log contains all of these words."""
    async with asyncio.timeout(within_s):
        while True:
            text = await asyncio.to_thread(log.read_text)
            if all(word in text for word in words):
                return
            await asyncio.sleep(0.1)  # poll: a file sends no notification


async def _await_refusals(shop: UpgradingShop, old_log: Path, new: set[int]) -> None:
    """Check that the old worker refuses the partitions in ``new``, changes none of them, and folds the others."""
    everything = set(range(PARTITIONS))
    assert new
    assert everything - new
    before = await shop.positions()
    await logged(old_log, *(f"events-{partition}: starts again" for partition in new))
    await shop.send()
    await shop.folded(everything - new)
    after = await shop.positions()
    assert [after[partition] for partition in new] == [before[partition] for partition in new]


@pytest.mark.kafka
@pytest.mark.slow
async def test_old_and_new_workers_lose_nothing_together_and_state_of_the_new_schema_waits_for_a_new_worker(
    kafka: Cluster, tmp_path: Path
) -> None:
    connection, everything = kafka.connection, set(range(PARTITIONS))
    await asyncio.to_thread(topics.create, connection, PARTITIONS)
    old_log, again_log = tmp_path / "old.log", tmp_path / "again.log"
    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        shop = UpgradingShop(connection, log)
        with running_worker(connection, old_log, OLD) as old:
            await shop.send()
            await shop.folded(everything)
            (old_schema,) = {schema for schemas in await shop.schemas() for schema in schemas}
            assert old_schema == PREVIOUS_SCHEMA or (old_schema == SCHEMA and FROM in os.environ)

            # A new worker joins. It reads the state of its partitions, and writes it in its own schema.
            with running_worker(connection, tmp_path / "new.log", NEW):
                await logged(tmp_path / "new.log", ": open at")
                await shop.send()
                await shop.folded(everything)
                schemas = await shop.schemas()
                new = {partition for partition in everything if schemas[partition] != {old_schema}}
            # The new worker has left, and the old one gets all partitions.
            if old_schema == SCHEMA:
                await shop.send()
                await shop.folded(everything)
            else:
                await _await_refusals(shop, old_log, new)

            with running_worker(connection, again_log, NEW):
                await logged(again_log, ": open at")
                old.terminate()
                await asyncio.to_thread(old.wait)
                await shop.send()
                await shop.folded(everything)

    states = [await restore(connection, "profiles", partition) for partition in range(PARTITIONS)]
    counted = {
        key.decode(): Counter(unpack(packed).facts.events)
        for state in states
        for key, packed in state.records.items()
        if not is_control(key)
    }
    expected: dict[str, Counter[str]] = {}
    for event in shop.sent:
        expected.setdefault(event.user, Counter())[event.type] += 1
    assert counted == expected
    found = [decode_interaction(record.value) for record in await committed(connection, "interactions", PARTITIONS)]
    met = Counter((one.user, one.type, one.item) for one in found)
    assert met == Counter((e.user, e.type, e.item or e.lines[0].item) for e in shop.sent if e.type in WEIGHTS)


def test_the_fold_of_a_checkout_is_found_in_any_package_of_its_tests(tmp_path: Path) -> None:
    package = tmp_path / "tests" / "stream" / "rebuild"
    package.mkdir(parents=True)
    (package / "folding_worker.py").touch()

    assert folding_worker(tmp_path) == "tests.stream.rebuild.folding_worker"
    assert folding_worker(Path(__file__).parents[2]) == NEW


def test_the_old_worker_of_this_test_writes_the_previous_schema() -> None:
    packed = old_pack(Customer(seen=7))

    assert packed[0] == PREVIOUS_SCHEMA
    assert unpack(packed) == Customer(seen=7)


async def test_a_lane_that_finds_state_of_a_later_schema_reports_it_and_neither_commits_nor_opens() -> None:
    (fold,) = (spec for spec in fold_agents() if spec.name == "fold_customers")
    later = bytes((SCHEMA + 1,)) + pack(Customer())[1:]
    before = MemoryPartition(position=1, state={b"u1": later})
    async with LaneHarness(fold, [record(0), record(1)], before) as harness:
        await harness.until(lambda: bool(harness.observer.errors))

    assert isinstance(harness.observer.errors[0], StateMismatch)
    assert f"schema version {SCHEMA + 1}; this code reads version {SCHEMA}" in str(harness.observer.errors[0])
    assert (harness.partition.position, harness.partition.commits, harness.partition.state) == (1, [], {b"u1": later})
