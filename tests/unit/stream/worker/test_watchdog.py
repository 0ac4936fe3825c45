"""The watchdog ends only a worker that stands still although there is work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError

from stream.cluster.connection import Connection
from stream.engine.reports import LaneReport
from stream.processes import exits
from stream.processes.worker_report import WorkerReport
from stream.transport.app import LaneApp, create_app
from stream.worker.watchdog import KafkaProbe, Membership, Patience, Sample, Stillness, Watchdog
from tests.support.brokers import Cluster, free_ports
from tests.support.counting import COUNTING
from tests.support.forwarding import forwarding
from tests.support.inprocess import running_app, until
from tests.support.lane_reports import lane_report
from tests.support.topic_reading import write
from tests.support.workers import running_worker

QUICK = Patience(3, every_s=0.01)


def waiting_lane(**changed: object) -> LaneReport:
    """Return a lane with records that wait."""
    return lane_report(**{"partition": 0, "position": 5, "lag": 4, "pulse": 1, **changed})


def samples(lane: LaneReport, times: int, stillness: Stillness) -> list[bool]:
    """Return whether the lane stands still in each of this many samples."""
    return [bool(stillness.add_sample([lane])) for _ in range(times)]


def test_a_lane_that_moves_never_stands_still() -> None:
    stillness = Stillness(2)
    for number in range(10):
        assert stillness.add_sample([waiting_lane(pulse=number)]) == []


def test_a_lane_that_moves_again_is_counted_from_zero() -> None:
    stillness = Stillness(3)
    assert samples(waiting_lane(), 3, stillness) == [False, False, False]
    assert samples(waiting_lane(pulse=2), 4, stillness) == [False, False, False, True]


def test_a_lane_that_waits_on_a_dependency_never_stands_still() -> None:
    stillness = Stillness(2)
    assert not any(samples(waiting_lane(waiting_on_dependency=True), 10, stillness))
    assert samples(waiting_lane(), 3, stillness) == [False, True, True]


def test_a_lane_that_returns_from_another_worker_counts_as_a_new_lane() -> None:
    stillness = Stillness(2)
    samples(waiting_lane(), 2, stillness)
    stillness.add_sample([])
    assert samples(waiting_lane(), 3, stillness) == [False, False, True]


@dataclass
class WatchedWorker:
    """A worker with fixed answers, which counts its watchdog's questions and keeps the reasons to leave."""

    lanes: list[LaneReport] = field(default_factory=lambda: [waiting_lane()])
    has_waiting_records: bool = True
    membership: Membership | None = None
    left_out: bool = False
    sampled: int = 0
    probed: int = 0
    left: list[str] = field(default_factory=list)

    def sample(self) -> Sample:
        """Return the state of the worker."""
        self.sampled += 1
        return Sample(self.lanes, WorkerReport(ready=True, healthy=True), self.membership)

    def is_left_out(self, membership: Membership) -> bool:
        """Return the fixed answer, in place of the group."""
        assert membership is self.membership
        self.probed += 1
        return self.left_out

    def records_wait(self, lane: LaneReport) -> bool:
        """Return the fixed answer, in place of Kafka."""
        self.probed += 1
        return self.has_waiting_records


@asynccontextmanager
async def watching(worker: WatchedWorker, patience: Patience = QUICK) -> AsyncIterator[Watchdog]:
    """Run a watchdog of the worker."""
    loop = asyncio.get_running_loop()
    watchdog = Watchdog(loop, worker.sample, worker, patience, on_stall=worker.left.append)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


async def test_a_worker_whose_lane_stands_still_while_records_wait_leaves() -> None:
    worker = WatchedWorker()
    async with watching(worker):
        await until(lambda: bool(worker.left))

    assert worker.left == ["events-0 has stood still at 5 for 3 s, and records wait after that"]


async def test_a_lane_without_waiting_records_or_a_broker_that_is_away_ends_no_worker() -> None:
    worker = WatchedWorker(has_waiting_records=False)
    async with watching(worker):
        await until(lambda: worker.probed >= 3)

    assert worker.left == []


JOINING = Membership("perennial.fold", "", assigned=False)
STANDS_BY = Membership("perennial.fold", "member 1", assigned=True)


@pytest.mark.parametrize("membership", [JOINING, STANDS_BY])
async def test_a_worker_without_partitions_whose_group_continues_without_it_leaves(membership: Membership) -> None:
    worker = WatchedWorker([], membership=membership, left_out=True)
    async with watching(worker):
        await until(lambda: bool(worker.left))

    assert worker.left == ["perennial.fold has continued without this process for 3 s"]
    assert worker.probed == 1


async def test_a_worker_whose_partitions_are_reassigned_for_too_long_leaves() -> None:
    worker = WatchedWorker([waiting_lane(waiting_on_dependency=True)], membership=JOINING, left_out=True)
    async with watching(worker):
        await until(lambda: bool(worker.left))

    assert worker.probed == 1


@pytest.mark.parametrize("membership", [JOINING, STANDS_BY])
async def test_a_worker_that_stands_by_or_whose_broker_is_away_never_ends(membership: Membership) -> None:
    worker = WatchedWorker([], membership=membership)
    async with watching(worker):
        await until(lambda: worker.probed >= 3)

    assert worker.left == []


async def test_the_group_is_not_asked_while_lanes_move() -> None:
    worker = WatchedWorker([waiting_lane(waiting_on_dependency=True)], membership=STANDS_BY, left_out=True)
    async with watching(worker):
        await until(lambda: worker.sampled >= 10)

    assert (worker.probed, worker.left) == (0, [])


async def test_hurry_makes_the_watchdog_take_a_sample_without_waiting() -> None:
    worker = WatchedWorker()
    async with watching(worker, Patience(99, every_s=3_600)) as watchdog:
        watchdog.hurry()
        await until(lambda: worker.sampled == 1)


async def test_a_worker_whose_event_loop_is_blocked_leaves(
    capfd: pytest.CaptureFixture[str],
) -> None:
    worker = WatchedWorker(lanes=[])
    async with watching(worker, Patience(6, every_s=0.01)):
        await until(lambda: worker.sampled > 0)
        deadline = time.monotonic() + 30
        while not worker.left and time.monotonic() < deadline:
            time.sleep(0.01)  # noqa: ASYNC251 - this is the fault

    assert worker.left == ["the event loop has stood still for 6 s"]
    assert "test_a_worker_whose_event_loop_is_blocked" in capfd.readouterr().err, (
        "the trace does not show where it hangs"
    )


def test_nothing_waits_while_kafka_does_not_answer() -> None:
    (port,) = free_ports(1)

    probe = KafkaProbe(Connection(f"127.0.0.1:{port}"))

    assert not probe.records_wait(waiting_lane())
    assert not probe.is_left_out(JOINING)


@pytest.mark.kafka
async def test_a_group_leaves_out_only_processes_that_it_does_not_know(kafka: Cluster) -> None:
    kafka.create(events=1, copies=1, profiles=1)

    def asked(member: str, *, assigned: bool) -> bool:
        return KafkaProbe(kafka.connection).is_left_out(Membership(app.conf.id, member, assigned))

    async with running_app(kafka.connection, [COUNTING]) as app:
        await until(lambda: app.lanes.has_assignment and bool(app.lanes.snapshot()), within_s=60)
        member = app.lanes.member
        known = await asyncio.to_thread(asked, member, assigned=True)
        forgotten = await asyncio.to_thread(asked, "another", assigned=True)
        not_notified = await asyncio.to_thread(asked, member, assigned=False)

    assert (known, forgotten, not_notified) == (False, True, True)
    assert await asyncio.to_thread(asked, "", assigned=False), "an empty group counts as undecided"


async def test_a_worker_that_its_group_refuses_before_the_first_fetch_leaves(
    embedded: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise GroupAuthorizationFailedError("not for you")

    embedded.create(events=1, copies=1, profiles=1)
    monkeypatch.setattr(GroupCoordinator, "_do_rejoin_group", refused)
    left: list[str] = []
    app = create_app("count", embedded.connection, [COUNTING], on_leave=left.append)

    def has_left() -> bool:
        app.lanes.check_group()
        return bool(left)

    async with starting(app):
        await until(has_left, within_s=60)

    assert "GroupAuthorizationFailedError" in left[0]


@asynccontextmanager
async def starting(app: LaneApp) -> AsyncIterator[None]:
    """Start a worker, although its start may never end, and stop it again."""
    start = asyncio.create_task(app.start())
    try:
        yield
    finally:
        await app.stop()
        start.cancel()
        await asyncio.wait([start])


async def test_a_worker_waits_for_its_broker_and_joins_when_it_answers(embedded: Cluster, unused_tcp_port: int) -> None:
    embedded.create(events=1, copies=1, profiles=1)
    connection = replace(embedded.connection, servers=f"127.0.0.1:{unused_tcp_port}")
    app = create_app("count", connection, [COUNTING])

    async with starting(app):
        await until(lambda: app.fetcher.has_consumer, within_s=60)
        before = app.lanes.member, app.lanes.has_assignment
        async with forwarding(embedded.connection.servers, unused_tcp_port):
            await until(lambda: any(lane.is_open for lane in app.lanes.snapshot()), within_s=60)

    assert before == ("", False)


@pytest.mark.parametrize(
    ("how", "says"), [("awaits", "events-0 has stood still at 0 for 3 s"), ("blocks", "the event loop has stood still")]
)
async def test_a_real_worker_that_stands_still_ends_with_the_exit_code_stalled(
    embedded: Cluster, tmp_path: Path, how: str, says: str
) -> None:
    embedded.create(events=1, copies=1, profiles=1)
    log = tmp_path / "worker.log"
    # Two writes, because the end that the embedded broker reports is too low after a single write.
    await write(embedded.connection, "events", [(b"u1", b"1")])
    await write(embedded.connection, "events", [(b"u2", b"2")])

    with running_worker(embedded.connection, log, "tests.support.stalling_worker", how, "3") as worker:
        exit_code = await asyncio.to_thread(worker.wait, 90)

    assert exit_code == exits.STALLED, log.read_text()
    assert f"leaving: {says}" in log.read_text()
    assert ("stalling_worker.py" in log.read_text()) == (how == "blocks")
