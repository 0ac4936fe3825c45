"""``perennial bench ...``: each command prints a table and writes JSON (medians of several runs, spread, machine)."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks import engine as engine_job
from tests.benchmarks import guard as guard_job
from tests.benchmarks import pipeline as pipeline_job

app = typer.Typer(help="Measure on this machine, beside the peers.", no_args_is_help=True, add_completion=False)

# A topic that was created a moment ago has no leader yet, and aiokafka says so for every partition.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class On(StrEnum):
    """Which broker."""

    KAFKA = "kafka"
    EMBEDDED = "embedded"


Broker = Annotated[On, typer.Option("--broker", help="Apache Kafka (KAFKA_HOME, else ../shared/kafka), or embedded.")]
Runs = Annotated[int, typer.Option(min=1, help="How often each side runs; medians are told.")]
Output = Annotated[Path | None, typer.Option(help="Where the JSON goes; build/benchmarks by default.")]
Seed = Annotated[int, typer.Option(help="Of the load.")]
Partitions = Annotated[int, typer.Option(min=1, help="Of the log.")]
Sides = Annotated[str, typer.Option(help="Who takes part, separated by commas.")]
_SIDES = "perennial,aiokafka,bytewax,quix,faust"


@app.command()
def engine(
    events: Annotated[int, typer.Option(min=100_000, help="How many each side reads.")] = 2_000_000,
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    sides: Sides = _SIDES,
    partitions: Partitions = 8,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Read, decode, acknowledge: events a second of one process, beside the peers."""
    engine_job.measure(
        broker.value,
        events=events,
        runs=runs,
        sides=sides.split(","),
        partitions=partitions,
        seed=seed,
        output=output,
    )


@app.command()
def pipeline(
    events: Annotated[int, typer.Option(min=20_000, help="How many our worker folds.")] = 300_000,
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    sides: Sides = _SIDES,
    partitions: Partitions = 8,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Profiles, models, interactions, triggers, durable: events a second of one worker, beside the peers."""
    pipeline_job.measure(
        broker.value,
        events=events,
        runs=runs,
        sides=sides.split(","),
        partitions=partitions,
        seed=seed,
        output=output,
    )


@app.command()
def guard(
    broker: Broker = On.KAFKA,
    commit: Annotated[bool, typer.Option("--commit", help="Take this figure as the one to hold.")] = False,
    output: Output = None,
) -> None:
    """Fail when an event of the pipeline costs a fifth more, beside a bare aiokafka loop, than was committed."""
    guard_job.measure(broker.value, commit=commit, output=output)
