"""Fetches from a real broker, through Faust, to lanes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from models.batch import Batch, Commit, Output, Outputs, Restored
from stream.engine.agent_spec import Agent, Relay, Stateful, Wake
from stream.engine.state import restore
from stream.transport.consumer import BatchConsumer
from stream.transport.consumer_thread import BatchThread
from tests.support.brokers import Cluster
from tests.support.counting import COUNTING
from tests.support.inprocess import running_app, until
from tests.support.topic_reading import read_until, write

EVENTS = [(b"u1", b"%d" % number) for number in range(1_000)]


def gated(gates: dict[int, asyncio.Event], sizes: Counter[int] | None = None) -> Stateful:
    """Return an agent whose partitions stand still until their gates are opened."""

    def factory(restored: Restored, _wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for batch in batches:
                await gates[restored.partition].wait()
                if sizes is not None:
                    sizes[len(batch.records)] += 1
                yield Outputs(Commit([Output("copies", b"u1", entry.value) for entry in batch.records]))

        return agent

    return replace(COUNTING, agent=factory)


def opened(partitions: int) -> dict[int, asyncio.Event]:
    gates = {partition: asyncio.Event() for partition in range(partitions)}
    for gate in gates.values():
        gate.set()
    return gates


async def test_a_full_lane_delays_only_its_partition_until_its_records_are_taken(cluster: Cluster) -> None:
    cluster.create(events=2, copies=2, profiles=2)
    gates = opened(2)
    gates[0].clear()
    spec = replace(gated(gates), max_records=50)
    async with running_app(cluster.connection, [spec]) as app:
        await write(cluster.connection, "events", EVENTS, 0)
        await until(lambda: app.lanes.owns("events", 0) and len(app.lanes.wanted()) == 1)
        await write(cluster.connection, "events", EVENTS, 1)
        others = await read_until(cluster.connection, "copies", lambda found: len(found) >= 1_000)
        gates[0].set()
        everything = await read_until(cluster.connection, "copies", lambda found: len(found) >= 2_000)

    assert {record.partition for record in others} == {1}
    assert Counter(record.value for record in everything) == Counter(value for _, value in EVENTS * 2)


async def test_many_records_are_handed_over_as_few_batches(cluster: Cluster) -> None:
    cluster.create(events=1, copies=1, profiles=1)
    sizes: Counter[int] = Counter()
    await write(cluster.connection, "events", EVENTS * 5)
    async with running_app(cluster.connection, [gated(opened(1), sizes)]):
        await read_until(cluster.connection, "copies", lambda found: len(found) >= 5_000)

    assert sum(size * count for size, count in sizes.items()) == 5_000
    assert sizes.total() <= 50


async def test_a_snapshot_contains_position_and_lag_of_every_lane(cluster: Cluster) -> None:
    cluster.create(events=2, copies=2, profiles=2)
    gates = opened(2)
    gates[1].clear()
    async with running_app(cluster.connection, [gated(gates)]) as app:
        await write(cluster.connection, "events", EVENTS, 0)
        await write(cluster.connection, "events", EVENTS, 1)
        await until(lambda: [lane.lag for lane in app.lanes.snapshot()] == [0, 1_000])
        first, second = app.lanes.snapshot()
        restored = app.lanes.restored("events", 0)
        gates[1].set()

    assert (first.topic, first.partition, first.is_open, first.position, first.high_watermark) == (
        "events",
        0,
        True,
        1_000,
        1_000,
    )
    assert (second.position, second.high_watermark, second.failures) == (0, 1_000, 0)
    assert restored is not None
    assert restored.position == 1_000
    assert app.lanes.restored("events", 7) is None


async def test_a_lane_at_the_end_of_a_topic_that_is_written_in_transactions_has_no_lag(cluster: Cluster) -> None:
    cluster.create(events=1, copies=1, profiles=1, ends=1, more_profiles=1)

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit([Output("ends", b"u1", entry.value) for entry in batch.records]))

    following = Stateful(name="follow", topic="copies", agent=lambda *_: agent, state="more.profiles")
    async with running_app(cluster.connection, [gated(opened(1)), following]) as app:
        await write(cluster.connection, "events", EVENTS)
        await read_until(cluster.connection, "ends", lambda found: len(found) >= 1_000)
        await until(lambda: [lane.lag for lane in app.lanes.snapshot()] == [0, 0])


async def test_the_groups_offsets_follow_the_lanes_so_that_other_programs_can_measure_lag(cluster: Cluster) -> None:
    cluster.create(events=1, copies=1, profiles=1)
    async with running_app(cluster.connection, [gated(opened(1))]) as app:
        await write(cluster.connection, "events", EVENTS)
        tp = TP(cluster.connection.topic("events"), 0)
        async with asyncio.timeout(15):
            while await app.fetcher.committed_offset(tp) != 1_000:  # noqa: ASYNC110 - only the broker knows
                await asyncio.sleep(0.05)


async def test_a_relay_sends_by_key_and_continues_after_the_offset_of_its_group(cluster: Cluster) -> None:
    cluster.create(events_in=3, outcomes=1, events=4)

    async def relay(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit([Output("events", entry.value or b"", entry.value) for entry in batch.records]))

    spec = Relay(name="route", topics=("events.in", "outcomes"), agent=lambda *_: relay)
    users = [(b"any key", b"u%d" % number) for number in range(300)]
    async with running_app(cluster.connection, [spec]):
        await write(cluster.connection, "events.in", users[:100])
        await write(cluster.connection, "outcomes", users[100:200])
        await read_until(cluster.connection, "events", lambda found: len(found) >= 200)
    async with running_app(cluster.connection, [spec]):
        await write(cluster.connection, "events.in", users[200:])
        routed = await read_until(cluster.connection, "events", lambda found: len(found) >= 300)

    assert Counter(record.value for record in routed) == Counter(value for _, value in users)
    assert len({record.partition for record in routed}) == 4


async def test_a_lane_that_stays_through_a_rebalance_keeps_its_state_and_loses_nothing(cluster: Cluster) -> None:
    cluster.create(events=4, copies=4, profiles=4)
    runs: Counter[int] = Counter()

    def factory(restored: Restored, wake: Wake) -> Agent:
        runs[restored.partition] += 1
        return COUNTING.agent(restored, wake)

    spec = replace(COUNTING, agent=factory)
    events = [(b"u%d" % (number % 50), b"%d" % number) for number in range(3_000)]
    async with running_app(cluster.connection, [spec]) as first:
        await write(cluster.connection, "events", events[:1_000])
        await read_until(cluster.connection, "copies", lambda found: len(found) >= 1_000)
        async with running_app(cluster.connection, [spec]) as second:
            await write(cluster.connection, "events", events[1_000:2_000])
            await until(lambda: [len(app.lanes.snapshot()) for app in (first, second)] == [2, 2])
            stayed = {lane.partition for lane in first.lanes.snapshot()}
            runs_of_those_that_stayed = [runs[partition] for partition in stayed]
            await read_until(cluster.connection, "copies", lambda found: len(found) >= 2_000)
        await write(cluster.connection, "events", events[2_000:])
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= 3_000)

    assert runs_of_those_that_stayed == [1, 1]
    assert Counter(record.value for record in copies) == Counter(value for _, value in events)
    counts: Counter[bytes] = Counter()
    for partition in range(4):
        restored = await restore(cluster.connection, "profiles", partition)
        counts.update({user: int(count) for user, count in restored.records.items()})
    assert counts == Counter(user for user, _ in events)


async def test_a_worker_that_cannot_read_any_more_leaves(embedded: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded.create(events=1, copies=1, profiles=1)
    left: list[str] = []

    async def broken(*_: object) -> None:
        raise KafkaError("the coordinator refused")

    async with running_app(embedded.connection, [COUNTING], on_leave=left.append) as app:
        await until(lambda: len(app.lanes.wanted()) == 1)
        monkeypatch.setattr(BatchThread, "_fetch_wanted", broken)
        await until(lambda: bool(left))

    assert left == ["nothing can be read any more: KafkaError('the coordinator refused')"]


@pytest.mark.parametrize("stops", [True, False])
async def test_reading_ends_quietly_during_a_rebalance_only_in_a_worker_that_stops(stops: bool) -> None:
    """Faust treats a fetcher that is cancelled during a rebalance as a crash of the whole worker."""

    async def wait(_: object) -> None:
        await asyncio.Event().wait()

    consumer = SimpleNamespace(
        app=SimpleNamespace(should_stop=stops),
        transport=SimpleNamespace(listener=None),
        _stopped=asyncio.Event(),
        flow_active=False,
        can_resume_flow=asyncio.Event(),
        wait=wait,
        consumer_stopped_errors=BatchConsumer.consumer_stopped_errors,
    )
    fetcher = SimpleNamespace(_stopped=asyncio.Event())
    reading = asyncio.create_task(BatchConsumer._drain_messages(consumer, fetcher))  # type: ignore[arg-type]  # a stand-in
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])

    assert reading.cancelled() is not stops
