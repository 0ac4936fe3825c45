"""The lag of a lane counts only records that it still has to process; markers of transactions do not count."""

from __future__ import annotations

from collections.abc import AsyncIterator

from models.batch import Batch, Commit, Outputs, Restored
from stream.engine.agent_spec import Agent, Stateful, Wake
from stream.transport.app import LaneApp
from stream.worker.health import WaitingTimes
from tests.support.brokers import Cluster
from tests.support.counting import COUNTING
from tests.support.inprocess import running_app, until
from tests.support.topic_reading import write

PARTITIONS = 2


def see(restored: Restored, _wake: Wake) -> Agent:
    async def see_copies(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit(memo=b"%d" % (int(restored.memo or b"0") + len(batch.records))))

    return see_copies


SEEING = Stateful(name="see_copies", topic="copies", agent=see, state="seen")


def seen(app: LaneApp) -> int:
    states = [app.lanes.restored("copies", partition) for partition in range(PARTITIONS)]
    return sum(int(state.memo or b"0") for state in states if state is not None)


async def test_a_lane_that_has_read_a_transactional_topic_to_its_end_has_no_lag(cluster: Cluster) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS, seen=PARTITIONS)
    async with running_app(cluster.connection, [COUNTING, SEEING]) as app:
        await write(cluster.connection, "events", [(b"u%d" % number, b"") for number in range(20)])
        await until(lambda: seen(app) == 20)

        await until(lambda: [lane.lag for lane in app.lanes.snapshot()] == [0] * 2 * PARTITIONS)


async def test_lanes_of_empty_topics_know_that_they_have_no_lag(cluster: Cluster) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS, seen=PARTITIONS)
    async with running_app(cluster.connection, [COUNTING, SEEING]) as app:
        await until(lambda: [lane.lag for lane in app.lanes.snapshot()] == [0] * 2 * PARTITIONS)


async def test_an_idle_lane_has_no_waiting_record_even_long_after_its_commit(cluster: Cluster) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS, seen=PARTITIONS)
    async with running_app(cluster.connection, [COUNTING]) as app:
        await until(lambda: len(app.lanes.snapshot()) == PARTITIONS)
        assert app.lanes.has_assignment

        await until(lambda: all(lane.is_idle for lane in app.lanes.snapshot()))
        await until(lambda: all(lane.seconds_since_commit > 1.0 for lane in app.lanes.snapshot()))
        waiting = WaitingTimes()
        assert [waiting.seconds(lane) for lane in app.lanes.snapshot()] == [0.0] * PARTITIONS


async def test_each_fetch_renews_the_pulse_of_an_idle_lane(cluster: Cluster) -> None:
    cluster.create(events=1, copies=1, profiles=1)
    async with running_app(cluster.connection, [COUNTING]) as app:
        await until(lambda: [lane.lag for lane in app.lanes.snapshot()] == [0])
        before = app.lanes.snapshot()[0].pulse

        await until(lambda: app.lanes.snapshot()[0].pulse != before)
        assert not app.lanes.snapshot()[0].waiting_on_dependency
