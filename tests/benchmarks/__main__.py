"""``make bench``: events a second of one worker, beside stock Faust that does nothing but read the same topic.

Both sides read the same records from the same broker in one run, one after the other, each in a process of its own.
The broker is Apache Kafka where ``KAFKA_HOME`` names one, else the embedded broker (which has no transactions, so the
figures of the two are not comparable).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from stream.broker import EmbeddedBroker
from stream.connection import Connection
from stream.topics import create
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import Load
from tests.benchmarks.pipeline import fold_all, log_of
from tests.brokers import running_kafka

PARTITIONS = 8
PATIENCE_S = 300


class Figure(NamedTuple):
    """What one side did.

    Attributes
    ----------
    side
        Whose figure it is.
    work
        What it did with each event.
    rate
        Events a second of wall time.
    cpu_rate
        Events a second of the process's own CPU time; says more where other processes are busy, too.
    """

    side: str
    work: str
    rate: float
    cpu_rate: float


@contextmanager
def a_broker(folder: Path) -> Iterator[tuple[str, Connection]]:
    """Start the broker that both sides read from."""
    if os.environ.get("KAFKA_HOME"):
        with contextmanager(running_kafka)(folder) as kafka:
            yield "Apache Kafka", Connection(kafka.address, prefix="bench.")
    else:
        with EmbeddedBroker(None, folder) as broker:
            yield "embedded broker (Tansu, in memory, no transactions)", broker.connection("bench.")


def measure_stock_faust(connection: Connection, records: int, folder: Path) -> Figure:
    """Read the topic with stock Faust."""
    answer = folder / "stock_faust.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.benchmarks.stock_faust"),
            *(connection.servers, connection.topic("events"), str(PARTITIONS), str(records), str(answer)),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not answer.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"stock Faust gave no figure (exit code {process.poll()})")
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=30)
    measured = json.loads(answer.read_text())
    count = measured["events"]
    return Figure("stock Faust", "read, and nothing else", count / measured["seconds"], count / measured["cpu"])


def measure_pipeline(connection: Connection, events: int, folder: Path) -> Figure:
    """Run a worker of ours over the topic."""
    work = "decode, fold, score, examples, messages, state" + (", transactions" if connection.transactions else "")
    return Figure("Perennial", work, *fold_all(connection, PARTITIONS, events, folder, PATIENCE_S))


def run(
    events: Annotated[int, typer.Option(min=10_000, help="How many events each side reads.")] = 200_000,
    seed: Annotated[int, typer.Option(help="Of the load.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure, and print the figures."""
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with a_broker(folder) as (broker, connection):
            create(connection, PARTITIONS)
            with console.status(f"feeding {events:,} events ..."):
                load = log_of(Load(events=events, seed=seed), folder)
                records = asyncio.run(feed(connection, connection.topic("events"), PARTITIONS, load))
            with console.status("stock Faust reads ..."):
                yardstick = measure_stock_faust(connection, records, folder)
            with console.status("a worker folds ..."):
                ours = measure_pipeline(connection, events, folder)
    if as_json:
        figures = [
            figure._asdict() | {"rate": round(figure.rate), "cpu_rate": round(figure.cpu_rate)}
            for figure in (yardstick, ours)
        ]
        typer.echo(json.dumps({"broker": broker, "cpus": os.cpu_count(), "events": events, "figures": figures}))
    else:
        _print(console, f"{broker}, {os.cpu_count()} CPUs, {events:,} events", yardstick, ours)


def _print(console: Console, title: str, yardstick: Figure, *others: Figure) -> None:
    table = Table(title=title)
    table.add_column("one process")
    table.add_column("does with each event")
    table.add_column("events/s", justify="right")
    table.add_column("beside stock Faust", justify="right")
    table.add_column("events/s of CPU", justify="right")
    for figure in (yardstick, *others):
        beside = f"{figure.rate / yardstick.rate:.1f} x"
        table.add_row(figure.side, figure.work, f"{figure.rate:,.0f}", beside, f"{figure.cpu_rate:,.0f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(run)
