"""A rebuild with correct code replaces the facts of a fold with a mistake, while a fold runs, on Apache Kafka."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from kafka.structs import TopicPartition

from models.batch import Restored
from models.fold import step
from models.log import Tick, encode_control, is_control
from models.profile.codec import unpack
from models.units import DAY, now_ms
from stream.cluster import topics
from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.engine.committers import TransactionalCommitter
from stream.engine.state import restore
from stream.log.event_log import EventLog
from stream.processes.exits import NOT_OWNER
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor
from stream.rebuild import shadow_topic, switch
from stream.rebuild.process import NoTransactions, Rebuild
from stream.rebuild.reading import BeginningGone, read_log
from stream.rebuild.recomputed_log import RecomputedLog
from stream.rebuild.shadow import Shadow, TakenOver, code_in_use
from tests.chaos.reference import Reference, committed
from tests.support.brokers import Cluster
from tests.support.folding_worker import wrong
from tests.support.rebuilding import POINTS, NoListener
from tests.support.shop import Owner, Shoppers

PARTITIONS = 2
OUTPUTS = ("interactions", "signals", "decisions", "events.rejected", "examples.churn", "examples.segments")
CODE = code_in_use()


@pytest.fixture
async def installation(kafka: Cluster) -> Connection:
    """Topics of an installation whose live log has begun."""
    await asyncio.to_thread(topics.create, kafka.connection, PARTITIONS, 1)
    await asyncio.to_thread(shadow_topic.make, kafka.connection, PARTITIONS, 1)
    async with EventLog(kafka.connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        await log.append(Shoppers(1).events(300))
    return kafka.connection


@asynccontextmanager
async def reference(connection: Connection) -> AsyncIterator[Reference]:
    """Fold the whole log once with the correct code."""
    async with Reference(connection, PARTITIONS) as quiet:
        await quiet.catch_up()
        yield quiet


async def fold_wrongly(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold the whole log with code that has a mistake."""
    async with reference(connection) as quiet:
        ends = quiet.positions
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        for partition, end in enumerate(ends):
            owner = Owner(connection, partition)
            await owner.take_over()
            await owner.fold_to(end)
            await owner.leave()


async def profiles(connection: Connection) -> list[dict[bytes, bytes]]:
    return [(await restore(connection, "profiles", partition)).records for partition in range(PARTITIONS)]


def rebuild(connection: Connection, code: str = CODE) -> Rebuild:
    return Rebuild(connection, PARTITIONS, code, NoListener())


@pytest.mark.kafka
async def test_facts_become_byte_for_byte_those_of_a_fresh_fold_and_ledgers_are_unchanged(
    installation: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fold_wrongly(installation, monkeypatch)
    before = await profiles(installation)

    done = await rebuild(installation).run()

    after = await profiles(installation)
    async with reference(installation) as quiet:
        states = quiet.states
    assert {one.outcome for one in done} == {"switched"}
    assert sum(one.changed for one in done) > 10
    for old, new, state in zip(before, after, states, strict=True):
        assert old != new
        assert new.keys() == old.keys() == state.records.keys()
        for key in new:
            if is_control(key):
                assert new[key] == old[key]
            else:
                assert unpack(new[key]).ledger == unpack(old[key]).ledger
                assert unpack(new[key]).facts == unpack(state.records[key]).facts
                assert new[key] == state.records[key]


@pytest.mark.kafka
async def test_nothing_is_changed_and_no_owner_is_fenced_if_no_facts_differ(installation: Connection) -> None:
    owners = [Owner(installation, partition) for partition in range(PARTITIONS)]
    async with reference(installation) as quiet:
        for owner, end in zip(owners, quiet.positions, strict=True):
            await owner.take_over()
            await owner.fold_to(end)

    done = await rebuild(installation).run()

    assert [(one.outcome, one.changed) for one in done] == [("equal", 0)] * PARTITIONS
    async with EventLog(installation, PARTITIONS) as log:
        await log.append(Shoppers(2, "n").events(50))
    async with reference(installation) as quiet:
        for owner, end in zip(owners, quiet.positions, strict=True):
            await owner.fold_to(end)  # a fenced owner would fail here
            await owner.leave()
        assert await profiles(installation) == [state.records for state in quiet.states]


@pytest.mark.kafka
async def test_a_comparison_counts_users_whose_facts_would_differ_and_changes_nothing(
    installation: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fold_wrongly(installation, monkeypatch)
    before = await profiles(installation)

    compared = await rebuild(installation).run(compare_only=True)

    assert await profiles(installation) == before
    assert {one.outcome for one in compared} == {"compared"}
    done = await rebuild(installation).run()
    assert [one.changed for one in done] == [one.changed for one in compared]


@pytest.mark.kafka
async def test_an_owner_that_returns_during_the_switch_is_fenced_again(
    installation: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fold_wrongly(installation, monkeypatch)
    returning = Owner(installation, 0)
    restored = asyncio.Event()

    class Interrupted(TransactionalCommitter):
        async def restore(self) -> Restored:
            found = await super().restore()
            if not restored.is_set():
                restored.set()
                await returning.take_over()
            return found

    monkeypatch.setattr(switch, "TransactionalCommitter", Interrupted)
    done = await rebuild(installation).run()
    await returning.leave()

    assert restored.is_set()
    assert {one.outcome for one in done} == {"switched"}
    async with reference(installation) as quiet:
        assert await profiles(installation) == [state.records for state in quiet.states]


@pytest.mark.kafka
@pytest.mark.parametrize("is_wrong", [True, False], ids=["wrong", "right"])
async def test_a_lane_between_two_slices_of_timers_is_switched_over_and_fires_the_remaining_timers(
    kafka: Cluster, monkeypatch: pytest.MonkeyPatch, is_wrong: bool
) -> None:
    connection = kafka.connection
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    await asyncio.to_thread(shadow_topic.make, connection, PARTITIONS, 1)
    owners = [Owner(connection, partition) for partition in range(PARTITIONS)]
    async with EventLog(connection, PARTITIONS) as log:
        now = now_ms()
        await log.ensure_clock("feeder")
        await log.broadcast(*encode_control(Tick(at=now)))
        await log.append(Shoppers(1).events(300))
        async with reference(connection) as quiet:
            ends = quiet.positions
        await log.broadcast(*encode_control(Tick(at=now + 40 * DAY)))
        await log.append(Shoppers(2, "n").events(40))
    with monkeypatch.context() as patch:
        if is_wrong:
            patch.setattr(step, "reduce_facts", wrong)
        for owner, end in zip(owners, ends, strict=True):
            await owner.take_over()
            await owner.fold_to(end)
            await owner.fold_slices(max_timers=4, slices=2)
            await owner.leave()

    done = await rebuild(connection).run()

    async with reference(connection) as quiet:
        for partition, end in enumerate(quiet.positions):
            successor = Owner(connection, partition)
            await successor.take_over()
            await successor.fold_to(end)
            await successor.leave()
        assert {one.outcome for one in done} == {"switched" if is_wrong else "equal"}
        assert await profiles(connection) == [state.records for state in quiet.states]


@pytest.mark.kafka
def recomputed_log(connection: Connection) -> RecomputedLog:
    return RecomputedLog(partial(read_log, connection), PARTITIONS)


async def test_a_shadow_of_other_code_is_discarded(installation: Connection) -> None:
    async def position(code: str, end: int = 0) -> int:
        shadow = Shadow(installation, 0, code, lambda *_: None, recomputed_log(installation))
        await shadow.open()
        began = shadow.position
        await shadow.fold_to(end)
        await shadow.close()
        return began

    found = [await position("one", 50), await position("one"), await position("another"), await position("another", 9)]

    assert found == [0, 50, 0, 0]


@pytest.mark.kafka
async def test_a_second_rebuild_continues_where_the_first_one_was_and_fences_it(
    installation: Connection,
) -> None:
    first, second = (Shadow(installation, 0, CODE, lambda *_: None, recomputed_log(installation)) for _ in range(2))
    await first.open()
    await first.fold_to(20)
    await second.open()

    with pytest.raises(TakenOver):
        await first.fold_to(40)
    await second.fold_to(60)

    assert second.position == 60
    await first.close()
    await second.close()


@pytest.mark.kafka
async def test_a_log_without_its_beginning_is_refused_before_anything_is_changed(installation: Connection) -> None:
    with admin(installation) as client:
        client.delete_records({TopicPartition(installation.topic("events"), 1): 7})

    with pytest.raises(BeginningGone, match=r"partition 1 at 7; .* every partition begins at 0"):
        await rebuild(installation).run()

    assert await profiles(installation) == [{}, {}]


def test_a_broker_without_transactions_is_refused_with_the_reason() -> None:
    with pytest.raises(NoTransactions, match="the embedded broker has none"):
        rebuild(Connection("127.0.0.1:9", transactions=False))


@pytest.mark.kafka
async def test_a_rebuild_that_was_killed_at_any_point_is_finished_by_the_next_one_while_the_fold_runs(
    installation: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await fold_wrongly(installation, monkeypatch)
    command = [sys.executable, "-m", "tests.support.rebuilding"]
    command += [installation.servers, installation.prefix, str(PARTITIONS)]
    worker = [sys.executable, "-m", "tests.support.folding_worker"]
    worker += [installation.servers, installation.prefix, "yes", "6"]
    ends: list[int] = []

    with Supervisor([Program("fold", worker, log=tmp_path / "fold.log")], on_end=lambda _, code: ends.append(code)):
        shopping = asyncio.create_task(shop_on(installation))
        deaths = [await asyncio.to_thread(subprocess.run, [*command, point], check=False) for point in POINTS]
        last = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True)
        shopping.cancel()
        await asyncio.wait([shopping])
        async with reference(installation) as quiet:
            await folded(installation, quiet.positions)
    async with reference(installation) as quiet:
        states, outputs = quiet.states, quiet.outputs

    assert [death.returncode for death in deaths] == [-signal.SIGKILL] * len(POINTS)
    assert (last.returncode, last.stdout.splitlines()) == (0, ["was switched", "switched"]), (last.stdout, last.stderr)
    assert NOT_OWNER in ends
    restored = [await restore(installation, "profiles", partition) for partition in range(PARTITIONS)]
    for state, undisturbed in zip(restored, states, strict=True):
        assert (state.position, state.memo) == (undisturbed.position, undisturbed.memo)
        assert state.records == undisturbed.records
    for topic_name in OUTPUTS:
        partitions = topics.topic(topic_name).partitions(PARTITIONS)
        written = Counter(
            (record.key, record.value) for record in await committed(installation, topic_name, partitions)
        )
        assert written == outputs.get(topic_name, Counter()), topic_name


async def shop_on(connection: Connection) -> None:
    """Send events until it is cancelled."""
    shoppers = Shoppers(3, "n")
    async with EventLog(connection, PARTITIONS) as log:
        while True:
            await log.append(shoppers.events(20))
            await asyncio.sleep(0.2)


async def folded(connection: Connection, positions: list[int], within_s: float = 60) -> None:
    """Wait until everything up to these positions is committed."""
    async with asyncio.timeout(within_s):
        while True:
            states = [await restore(connection, "profiles", number, in_use=True) for number in range(PARTITIONS)]
            if all(state.position >= wanted for state, wanted in zip(states, positions, strict=True)):
                return
            await asyncio.sleep(0.2)  # poll: a state topic sends no notification
