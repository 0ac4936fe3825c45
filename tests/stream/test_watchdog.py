"""A worker that stands still although there is work ends, and nobody else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stream import exits
from stream.connection import Connection
from stream.watchdog import Report, Stillness, Watchdog, Watched, records_wait
from tests.brokers import Cluster, free_ports
from tests.stream.inprocess import until
from tests.stream.reading import write
from tests.stream.workers import running_worker


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
    left: list[str] = field(default_factory=list)

    def look(self) -> Report:
        self.asked += 1
        return Report(self.lanes, {})

    def probe(self, lane: Watched) -> bool:
        self.probed += 1
        return self.records_wait


@asynccontextmanager
async def watching(kennel: Kennel, patience: int = 3) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    dog = Watchdog(loop, kennel.look, kennel.probe, patience=patience, on_stall=kennel.left.append, every_s=0.01)
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


async def test_records_wait_behind_a_position_and_not_at_the_end(cluster: Cluster) -> None:
    cluster.create(events=1)
    await write(cluster.connection, "events", [(b"u%d" % number, b"") for number in range(5)])

    def waits(position: int) -> bool:
        return records_wait(cluster.connection, SomeLane(position=position))

    assert await asyncio.to_thread(waits, 0)
    assert not await asyncio.to_thread(waits, 5)


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

    with running_worker(embedded.connection, log, "tests.stream.stalling_worker", how, "3") as worker:
        exit_code = await asyncio.to_thread(worker.wait, 90)

    assert exit_code == exits.STALLED, log.read_text()
    assert f"leaving: {says}" in log.read_text()
    assert ("stalling_worker.py" in log.read_text()) == (how == "blocks")
