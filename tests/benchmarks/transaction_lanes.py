"""Cost of the commits of several lanes: ``python -m tests.benchmarks.transaction_lanes``.

``apart``: each lane has its own transactional id, and all commit at the same time, as in a worker. ``together``: all
lanes commit in one transaction of one transactional id, so nothing fences the owner of a single partition. No worker
does this; ``docs/benchmarks.md`` says why. All figures are for one round of commits, one commit of each lane.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple, Protocol

import typer
from aiokafka import TopicPartition

from models.batch import Checkpoint
from stream.cluster.connection import Connection
from stream.cluster.transactional_writer import TransactionalWriter
from stream.cluster.writer import Pairs, distribute
from stream.engine.committers import TRANSACTION_TIMEOUT_MS, Ownership, TransactionalCommitter
from stream.engine.state import POSITION_KEY, encode_position
from tests.benchmarks.broker import Broker, a_broker
from tests.benchmarks.transaction import MEMO, TOPICS, WARM_UP, commit_of, counted_requests
from tests.support.brokers import create_topics

ALIGNED = frozenset(TOPICS)


class RoundOfCommits(Protocol):
    """A way to commit the same outputs for every lane."""

    async def start(self) -> None:
        """Take all partitions over."""

    async def commit(self, outputs: int, number: int) -> None:
        """Commit for every lane this number of outputs, and the position ``number``."""

    async def stop(self) -> None:
        """Release all connections."""


class Apart:
    """One transaction for each lane, all at the same time."""

    def __init__(self, connection: Connection, lanes: int) -> None:
        self._committers = [
            TransactionalCommitter(
                connection, Ownership(f"{connection.group('apart')}-{lane}", lane, "profiles", ALIGNED)
            )
            for lane in range(lanes)
        ]

    async def start(self) -> None:
        """Take all partitions over."""
        for committer in self._committers:
            await committer.fence()

    async def commit(self, outputs: int, number: int) -> None:
        """Commit for every lane."""
        commit, checkpoint = commit_of(outputs), Checkpoint(number, MEMO)
        await asyncio.gather(*(committer.commit(commit, checkpoint) for committer in self._committers))

    async def stop(self) -> None:
        """Release all connections."""
        for committer in self._committers:
            await committer.stop()


class Together:
    """One transaction for all lanes."""

    def __init__(self, connection: Connection, lanes: int) -> None:
        self._connection, self._lanes = connection, lanes
        self._writer = TransactionalWriter(
            connection, f"{connection.group('together')}-all", timeout_ms=TRANSACTION_TIMEOUT_MS
        )

    async def start(self) -> None:
        """Take the one transactional id over."""
        await self._writer.start()

    async def commit(self, outputs: int, number: int) -> None:
        """Commit for every lane."""
        commit = commit_of(outputs)
        places: dict[TopicPartition, Pairs] = {}
        for lane in range(self._lanes):
            places |= await distribute(self._writer, self._connection, commit.records, ALIGNED, lane)
            places[TopicPartition(self._connection.topic("profiles"), lane)] = [
                *commit.state.items(),
                (POSITION_KEY, encode_position(number, MEMO)),
            ]
        await self._writer.send(places)
        await self._writer.commit()

    async def stop(self) -> None:
        """Release all connections."""
        await self._writer.stop()


SIDES: Mapping[str, Callable[[Connection, int], RoundOfCommits]] = {"apart": Apart, "together": Together}


class RoundCost(NamedTuple):
    """Cost of one round: CPU time of this process and of the broker, milliseconds; median time; requests."""

    cpu_ms: float
    broker_ms: float
    wall_ms: float
    requests: float


async def measure(
    broker: Broker, make: Callable[[], RoundOfCommits], outputs: int, rounds: int, gap_ms: float
) -> RoundCost:
    """Commit one round after the other, and return the mean cost of one."""
    side = make()
    walls, cpu, theirs = list[float](), 0.0, 0.0
    try:
        await side.start()
        with counted_requests() as requests:
            for number in range(WARM_UP + rounds):
                if number == WARM_UP:
                    requests[0], cpu, theirs = 0, time.process_time(), broker.cpu_s()
                await asyncio.sleep(gap_ms / 1000)
                began = time.perf_counter()
                await side.commit(outputs, number)
                walls.append(time.perf_counter() - began)
            cpu, theirs = time.process_time() - cpu, broker.cpu_s() - theirs
    finally:
        await side.stop()
    wall_ms = statistics.median(walls[WARM_UP:]) * 1e3
    return RoundCost(cpu / rounds * 1e3, theirs / rounds * 1e3, wall_ms, requests[0] / rounds)


def main(
    lanes: Annotated[int, typer.Option(min=1, help="Number of lanes.")] = 8,
    outputs: Annotated[str, typer.Option(help="Numbers of outputs of each lane, separated by commas.")] = "1,8,80",
    rounds: Annotated[int, typer.Option(min=10, help="Number of rounds of a run.")] = 100,
    runs: Annotated[int, typer.Option(min=1, help="Number of runs of each side; medians are printed.")] = 3,
    gap_ms: Annotated[float, typer.Option(min=0, help="Pause between two rounds, milliseconds.")] = 20.0,
) -> None:
    """Measure the CPU time, the duration and the requests of one round of commits."""
    with a_broker("kafka") as broker:
        connection = broker.connection()
        create_topics(connection, dict.fromkeys((*TOPICS, "profiles"), lanes))
        for count in map(int, outputs.split(",")):
            found: dict[str, list[RoundCost]] = {name: [] for name in SIDES}
            for _ in range(runs):
                for name, costs in found.items():
                    make = functools.partial(SIDES[name], connection, lanes)
                    costs.append(asyncio.run(measure(broker, make, count, rounds, gap_ms)))
            for name, costs in found.items():
                cpu, theirs, wall, requests = map(statistics.median, zip(*costs, strict=True))
                print(
                    f"{lanes} lanes {name:8s} {count:4d} outputs each: {cpu:5.1f} ms of CPU "
                    f"(broker {theirs:5.1f}), {wall:6.1f} ms, {requests:4.1f} requests per round",
                    flush=True,
                )


if __name__ == "__main__":
    typer.run(main)
