"""A worker that stands still although there is work ends, and nobody else does."""

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
from stream.processes import exits
from stream.transport.app import LaneApp, create_app
from stream.worker.watchdog import Membership, Report, Stillness, Watchdog, Watched, left_out, records_wait
from tests.support.brokers import Cluster, free_ports
from tests.support.counting import COUNTING
from tests.support.forwarding import forwarding
from tests.support.inprocess import running_app, until
from tests.support.topic_reading import write
from tests.support.workers import running_worker


@dataclass
class SomeLane:
    """A lane as the watchdog sees it."""

    topic: str = "events"
    partition: int = 0
    position: int | None = 5
    excused: bool = False
    pulse: object = 1


def looks(lane: SomeLane, times: int, still: Stillness) -> list[bool]:
    return [bool(still.look([lane])) for _ in range(times)]


def test_a_lane_that_moves_never_stands_still() -> None:
    lane, still = SomeLane(), Stillness(2)
    for number in range(10):
        lane.pulse = number
        assert still.look([lane]) == []


def test_a_lane_that_moves_again_begins_its_count_anew() -> None:
    lane, still = SomeLane(), Stillness(3)
    assert looks(lane, 3, still) == [False, False, False]
    lane.pulse = 2
    assert looks(lane, 4, still) == [False, False, False, True]


def test_a_lane_is_excused_for_as_long_as_it_waits_for_others() -> None:
    lane, still = SomeLane(excused=True), Stillness(2)
    assert not any(looks(lane, 10, still))
    lane.excused = False
    assert looks(lane, 3, still) == [False, True, True]


def test_a_lane_that_went_to_somebody_else_and_came_back_is_a_new_one() -> None:
    lane, still = SomeLane(), Stillness(2)
    looks(lane, 2, still)
    still.look([])
    assert looks(lane, 3, still) == [False, False, True]


@dataclass
class Kennel:
    """A watchdog that looks every hundredth of a second, and what it did."""

    lanes: list[Watched] = field(default_factory=lambda: [SomeLane()])
    records_wait: bool = True
    asked: int = 0
    probed: int = 0
    membership: Membership | None = None
    left_out: bool = False
    left: list[str] = field(default_factory=list)

    def look(self) -> Report:
        self.asked += 1
        return Report(self.lanes, {}, self.membership)

    def probe_group(self, membership: Membership) -> bool:
        assert membership is self.membership
        self.probed += 1
        return self.left_out

    def probe(self, lane: Watched) -> bool:
        self.probed += 1
        return self.records_wait


@asynccontextmanager
async def watching(kennel: Kennel, patience: int = 3) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    dog = Watchdog(
        loop,
        kennel.look,
        kennel.probe,
        kennel.probe_group,
        patience=patience,
        on_stall=kennel.left.append,
        every_s=0.01,
    )
    dog.start()
    try:
        yield
    finally:
        dog.stop()


async def test_a_worker_whose_lane_stands_still_while_records_wait_leaves() -> None:
    kennel = Kennel()
    async with watching(kennel):
        await until(lambda: bool(kennel.left))

    assert kennel.left == ["events-0 has stood still at 5 for 3 s, and records wait behind that"]


async def test_a_lane_without_waiting_records_and_a_broker_that_is_away_end_nobody() -> None:
    kennel = Kennel(records_wait=False)
    async with watching(kennel):
        await until(lambda: kennel.probed >= 3)

    assert kennel.left == []


JOINING = Membership("perennial.fold", "", assigned=False)
STANDS_BY = Membership("perennial.fold", "member 1", assigned=True)


@pytest.mark.parametrize("membership", [JOINING, STANDS_BY])
async def test_a_worker_without_partitions_whose_group_goes_on_without_it_leaves(membership: Membership) -> None:
    kennel = Kennel([], membership=membership, left_out=True)
    async with watching(kennel):
        await until(lambda: bool(kennel.left))

    assert kennel.left == ["perennial.fold has gone on without this process for 3 s"]
    assert kennel.probed == 1


async def test_a_worker_whose_lanes_are_paused_for_long_because_partitions_never_move_leaves() -> None:
    kennel = Kennel([SomeLane(excused=True)], membership=JOINING, left_out=True)
    async with watching(kennel):
        await until(lambda: bool(kennel.left))

    assert kennel.probed == 1


@pytest.mark.parametrize("membership", [JOINING, STANDS_BY])
async def test_one_that_stands_by_or_whose_broker_is_away_ends_never(membership: Membership) -> None:
    kennel = Kennel([], membership=membership)
    async with watching(kennel):
        await until(lambda: kennel.probed >= 3)

    assert kennel.left == []


async def test_where_lanes_move_no_group_is_asked() -> None:
    kennel = Kennel([SomeLane(excused=True)], membership=STANDS_BY, left_out=True)
    async with watching(kennel):
        await until(lambda: kennel.asked >= 10)

    assert (kennel.probed, kennel.left) == (0, [])


async def test_a_watchdog_in_a_hurry_looks_at_once() -> None:
    kennel = Kennel()
    dog = Watchdog(
        asyncio.get_running_loop(), kennel.look, kennel.probe, kennel.probe_group, patience=99, every_s=3_600
    )
    dog.start()
    dog.hurry()
    await until(lambda: kennel.asked == 1)
    dog.stop()


async def test_a_worker_whose_loop_is_blocked_leaves_although_it_answers_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    kennel = Kennel(lanes=[])
    async with watching(kennel, patience=6):
        await until(lambda: kennel.asked > 0)
        deadline = time.monotonic() + 30
        while not kennel.left and time.monotonic() < deadline:
            time.sleep(0.01)  # noqa: ASYNC251 - this is the fault

    assert kennel.left == ["the event loop has stood still for 6 s"]
    assert "test_a_worker_whose_loop_is_blocked" in capfd.readouterr().err, "it shows where it hangs"


def test_nothing_waits_where_kafka_does_not_answer() -> None:
    (port,) = free_ports(1)

    assert not records_wait(Connection(f"127.0.0.1:{port}"), SomeLane())
    assert not left_out(Connection(f"127.0.0.1:{port}"), JOINING)


@pytest.mark.kafka
async def test_a_group_leaves_nobody_out_but_whoever_it_does_not_know(kafka: Cluster) -> None:
    kafka.create(events=1, copies=1, profiles=1)

    def asked(member: str, *, assigned: bool) -> bool:
        return left_out(kafka.connection, Membership(app.conf.id, member, assigned))

    async with running_app(kafka.connection, [COUNTING]) as app:
        await until(lambda: app.lanes.has_assignment and bool(app.lanes.snapshot()), within_s=60)
        member = app.lanes.member
        known = await asyncio.to_thread(asked, member, assigned=True)
        forgotten = await asyncio.to_thread(asked, "another", assigned=True)
        hears_nothing = await asyncio.to_thread(asked, member, assigned=False)

    assert (known, forgotten, hears_nothing) == (False, True, True)
    assert await asyncio.to_thread(asked, "", assigned=False), "an empty group has settled, too"


async def test_a_worker_that_its_group_refuses_before_it_ever_reads_anything_leaves(
    embedded: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise GroupAuthorizationFailedError("not for you")

    embedded.create(events=1, copies=1, profiles=1)
    monkeypatch.setattr(GroupCoordinator, "_do_rejoin_group", refused)
    left: list[str] = []
    app = create_app("count", embedded.connection, [COUNTING], on_leave=left.append)

    def looked() -> bool:
        app.lanes.check_group()
        return bool(left)

    async with starting(app):
        await until(looked, within_s=60)

    assert "GroupAuthorizationFailedError" in left[0]


@asynccontextmanager
async def starting(app: LaneApp) -> AsyncIterator[None]:
    """Start a worker, which may never get to the end of that, and stop it again."""
    start = asyncio.create_task(app.start())
    try:
        yield
    finally:
        await app.stop()
        start.cancel()
        await asyncio.wait([start])


async def test_a_worker_waits_for_its_broker_and_joins_when_there_is_one(
    embedded: Cluster, unused_tcp_port: int
) -> None:
    embedded.create(events=1, copies=1, profiles=1)
    connection = replace(embedded.connection, servers=f"127.0.0.1:{unused_tcp_port}")
    app = create_app("count", connection, [COUNTING])

    async with starting(app):
        await until(lambda: app.consumer._thread._consumer is not None, within_s=60)
        before = app.lanes.member, app.lanes.has_assignment
        async with forwarding(embedded.connection.servers, unused_tcp_port):
            await until(lambda: any(lane.is_open for lane in app.lanes.snapshot()), within_s=60)

    assert before == ("", False)


@pytest.mark.parametrize(
    ("how", "says"), [("awaits", "events-0 has stood still at 0 for 3 s"), ("blocks", "the event loop has stood still")]
)
async def test_a_real_worker_that_stands_still_ends_with_a_code_of_its_own(
    embedded: Cluster, tmp_path: Path, how: str, says: str
) -> None:
    embedded.create(events=1, copies=1, profiles=1)
    log = tmp_path / "worker.log"
    # In one write the embedded broker tells too low an end.
    await write(embedded.connection, "events", [(b"u1", b"1")])
    await write(embedded.connection, "events", [(b"u2", b"2")])

    with running_worker(embedded.connection, log, "tests.support.stalling_worker", how, "3") as worker:
        exit_code = await asyncio.to_thread(worker.wait, 90)

    assert exit_code == exits.STALLED, log.read_text()
    assert f"leaving: {says}" in log.read_text()
    assert ("stalling_worker.py" in log.read_text()) == (how == "blocks")
