"""Cost of one transaction on Apache Kafka: ``python -m tests.benchmarks.transaction``.

A committer alone commits one transaction after the other: outputs, a changed state for each of them, and the position.
The CPU time is that of this process, without the broker. Between two commits a lane computes, so the committer pauses
for ``--gap-ms``. Without a pause, a transaction meets the end markers of the one before it, and waits for them.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from aiokafka.conn import AIOKafkaConnection

from models.batch import Checkpoint, Commit, Output
from stream.cluster import transaction_coordinator
from stream.cluster.connection import Connection
from stream.engine.committers import Committer, Ownership, TransactionalCommitter
from tests.benchmarks.aiokafka_transactions import AiokafkaCommitter
from tests.benchmarks.broker import Broker, a_broker
from tests.support.brokers import create_topics

TOPICS = ("interactions", "signals", "decisions")
"""Topics of the outputs. All of them are aligned, as nearly all topics of the fold are."""
OUTPUT = b"o" * 200
STATE = b"s" * 300
MEMO = b"m" * 100
WARM_UP = 20
"""Number of transactions before the measurement, which open connections and learn where the partitions are."""

SIDES: Mapping[str, Callable[[Connection, Ownership], Committer]] = {
    "aiokafka": AiokafkaCommitter,
    "older": TransactionalCommitter,
    "perennial": TransactionalCommitter,
}
"""Writers. ``older`` is ours with Kafka's older transactions, as on a cluster before Kafka 4.0."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one transaction.

    Attributes
    ----------
    cpu_us
        CPU time of this process, microseconds.
    broker_us
        CPU time of the broker, microseconds.
    wall_ms
        Median of the time from the call of ``commit`` to its return, milliseconds.
    slow_ms
        99th percentile of the same time.
    requests
        Number of requests to the broker.
    """

    cpu_us: float
    broker_us: float
    wall_ms: float
    slow_ms: float
    requests: float


@dataclass(frozen=True, slots=True)
class TransactionPlan:
    """Plan of one run: number of outputs, number of transactions, and the pause between two of them."""

    outputs: int
    transactions: int
    gap_ms: float


@contextmanager
def counted_requests() -> Iterator[list[int]]:
    """Count the requests to brokers in a list with one number."""
    sent, count = AIOKafkaConnection.send, [0]

    def send(*arguments: object, **named: object) -> object:
        count[0] += 1
        return sent(*arguments, **named)

    AIOKafkaConnection.send = send
    try:
        yield count
    finally:
        AIOKafkaConnection.send = sent


def commit_of(outputs: int) -> Commit:
    """Return a commit with this number of outputs, and as many changed states."""
    keys = [b"user-%06d" % number for number in range(outputs)]
    records = [Output(TOPICS[number % len(TOPICS)], key, OUTPUT) for number, key in enumerate(keys)]
    return Commit(records, dict.fromkeys(keys, STATE))


@contextmanager
def _transactions_of(side: str) -> Iterator[None]:
    """Let the cluster seem to have older transactions only, if the side needs that."""
    with pytest.MonkeyPatch.context() as patch:
        if side == "older":
            patch.setattr(transaction_coordinator, "transaction_version", lambda _: 1)
        yield


async def measure(
    broker: Broker, connection: Connection, side: str, plan: TransactionPlan, profiler: cProfile.Profile | None
) -> Cost:
    """Commit transactions with one committer, and return their mean cost."""
    own = Ownership(f"{connection.group(side)}-0", 0, "profiles", frozenset(TOPICS))
    committer = SIDES[side](connection, own)
    commit, walls, cpu, theirs = commit_of(plan.outputs), [], 0.0, 0.0
    try:
        await committer.fence()
        with counted_requests() as requests:
            for number in range(WARM_UP + plan.transactions):
                if number == WARM_UP:
                    requests[0], cpu, theirs = 0, time.process_time(), broker.cpu_s()
                await asyncio.sleep(plan.gap_ms / 1000)
                began = time.perf_counter()
                with ExitStack() as stack:
                    if profiler is not None and number >= WARM_UP:
                        stack.enter_context(profiler)
                    await committer.commit(commit, Checkpoint(number, MEMO))
                walls.append(time.perf_counter() - began)
            cpu, theirs = time.process_time() - cpu, broker.cpu_s() - theirs
    finally:
        await committer.stop()
    walls = sorted(walls[WARM_UP:])
    return Cost(
        cpu / plan.transactions * 1e6,
        theirs / plan.transactions * 1e6,
        statistics.median(walls) * 1e3,
        walls[int(len(walls) * 0.99)] * 1e3,
        requests[0] / plan.transactions,
    )


def main(
    outputs: Annotated[str, typer.Option(help="Numbers of outputs, separated by commas.")] = "1,24,500",
    transactions: Annotated[int, typer.Option(min=10, help="Number of transactions of a run.")] = 300,
    runs: Annotated[int, typer.Option(min=1, help="Number of runs of each side; medians are printed.")] = 3,
    gap_ms: Annotated[float, typer.Option(min=0, help="Pause between two transactions, milliseconds.")] = 10.0,
    sides: Annotated[str, typer.Option(help="Writers to measure, separated by commas.")] = ",".join(SIDES),
    profile: Annotated[bool, typer.Option("--profile", help="Print where the CPU time goes, and no cost.")] = False,
) -> None:
    """Measure the CPU time, the duration and the requests of one transaction."""
    with a_broker("kafka") as broker:
        connection = broker.connection()
        create_topics(connection, dict.fromkeys((*TOPICS, "profiles"), 1))
        for count in map(int, outputs.split(",")):
            found: dict[str, list[Cost]] = {side: [] for side in sides.split(",")}
            for _ in range(1 if profile else runs):
                for side, costs in found.items():
                    profiler = cProfile.Profile() if profile else None
                    plan = TransactionPlan(count, transactions, gap_ms)
                    with _transactions_of(side):
                        costs.append(asyncio.run(measure(broker, connection, side, plan, profiler)))
                    if profiler is not None:
                        print(f"{side}, {count} outputs, {transactions} transactions")
                        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
            for side, costs in () if profile else found.items():
                cpu, theirs, wall, slow, requests = (
                    statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__slots__
                )
                print(
                    f"{side:9s} {count:4d} outputs: {cpu:6.0f} us of CPU (broker {theirs:5.0f}), "
                    f"{wall:5.1f} ms (p99 {slow:5.1f}), {requests:4.1f} requests per transaction",
                    flush=True,
                )


if __name__ == "__main__":
    typer.run(main)
