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
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from stream.broker import EmbeddedBroker
from stream.connection import Connection
from stream.topics import create
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import Load
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
    events
        How many.
    seconds
        From the first to the last.
    """

    side: str
    work: str
    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@contextmanager
def a_broker(folder: Path) -> Iterator[tuple[str, Connection]]:
    """Start the broker that both sides read from."""
    if os.environ.get("KAFKA_HOME"):
        with contextmanager(running_kafka)(folder) as kafka:
            yield "Apache Kafka", Connection(kafka.address, prefix="bench.")
    else:
        with EmbeddedBroker(None, folder) as broker:
            yield "embedded broker (Tansu, in memory, no transactions)", broker.connection("bench.")


def measure_stock_faust(connection: Connection, topic: str, events: int, folder: Path) -> Figure:
    """Read the topic with stock Faust."""
    answer = folder / "stock_faust.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.benchmarks.stock_faust"),
            *(connection.servers, connection.topic(topic), str(PARTITIONS), str(events), str(answer)),
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
    return Figure("stock Faust", "reads it, and nothing else", measured["events"], measured["seconds"])


def run(
    events: Annotated[int, typer.Option(min=1000, help="How many events each side reads.")] = 200_000,
    seed: Annotated[int, typer.Option(help="Of the load.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure, and print the figures."""
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory() as folder, a_broker(Path(folder)) as (name, connection):
        create(connection, PARTITIONS)
        with console.status(f"feeding {events:,} events into the {name} ..."):
            asyncio.run(feed(connection, connection.topic("events"), PARTITIONS, Load(events=events, seed=seed)))
        figures = []
        with console.status("stock Faust reads ..."):
            figures.append(measure_stock_faust(connection, "events", events, Path(folder)))
    if as_json:
        typer.echo(json.dumps(_as_json(name, figures)))
    else:
        _print(console, name, figures)


def _as_json(broker: str, figures: list[Figure]) -> dict[str, Any]:
    return {
        "broker": broker,
        "cpus": os.cpu_count(),
        "figures": [figure._asdict() | {"events_per_second": round(figure.rate)} for figure in figures],
    }


def _print(console: Console, broker: str, figures: list[Figure]) -> None:
    table = Table(title=f"{broker}, {os.cpu_count()} CPUs, one worker process a side")
    table.add_column("side")
    table.add_column("with each event")
    for heading in ("events", "seconds", "events/s", "beside stock Faust"):
        table.add_column(heading, justify="right")
    yardstick = figures[0].rate
    for figure in figures:
        table.add_row(
            figure.side,
            figure.work,
            f"{figure.events:,}",
            f"{figure.seconds:.1f}",
            f"{figure.rate:,.0f}",
            f"{figure.rate / yardstick:.1f} x",
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(run)
