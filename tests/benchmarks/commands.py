"""``perennial bench ...``: each command prints a table and writes JSON (medians of several runs, spread, machine)."""

from __future__ import annotations

import logging
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks import capacity as capacity_job
from tests.benchmarks import engine as engine_job
from tests.benchmarks import everything
from tests.benchmarks import guard as guard_job
from tests.benchmarks import latency as latency_job
from tests.benchmarks import memory as memory_job
from tests.benchmarks import pipeline as pipeline_job
from tests.benchmarks import profiling as profiling_job
from tests.benchmarks import restart as restart_job
from tests.benchmarks import scaling as scaling_job
from tests.benchmarks import table as tables

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
Sizes = Annotated[str, typer.Option(help="Numbers of users, separated by commas.")]
_FIGURES = capacity_job.FIGURES
_SIDES = "perennial,aiokafka,bytewax,quix,faust"


@app.callback()
def _bench() -> None:
    """Measure on this machine, beside the peers: each prints a table and writes JSON."""
    # Whoever ends a benchmark ends its broker and workers, too: as an exception it passes everything that ends them.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


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
    broker: Annotated[On | None, typer.Option(help="Apache Kafka where one is found, else the embedded one.")] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Take this figure as the one to hold.")] = False,
    output: Output = None,
) -> None:
    """Fail when an event of the pipeline costs a fifth more, beside a bare aiokafka loop, than was committed."""
    guard_job.measure(broker.value if broker else guard_job.available(), commit=commit, output=output)


@app.command()
def latency(
    rates: Annotated[str, typer.Option(help="Events a second, separated by commas.")] = "1,50,1000,5000,10000",
    seconds: Annotated[float, typer.Option(min=1, help="How long each, after five seconds to warm up.")] = 20,
    runs: Runs = 3,
    hanging: Annotated[bool, typer.Option(help="Also 5,000 events/s while a provider hangs.")] = True,
    broker: Broker = On.KAFKA,
    partitions: Partitions = 8,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Event to readable message, open loop, as a histogram."""
    latency_job.measure(
        broker.value,
        rates=[int(rate) for rate in rates.split(",")],
        seconds=seconds,
        runs=runs,
        hanging=hanging,
        partitions=partitions,
        seed=seed,
        output=output,
    )


@app.command()
def memory(
    users: Sizes = "100000,1000000",
    broker: Broker = On.KAFKA,
    partitions: Partitions = 8,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Resident bytes of a worker with so many users after a simulated month, everything on."""
    sizes = [int(size) for size in users.split(",")]
    memory_job.measure(broker.value, sizes=sizes, partitions=partitions, seed=seed, output=output)


@app.command()
def restart(
    users: Sizes = "100000,1000000",
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    partitions: Partitions = 8,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Seconds from kill -9 of a fold to its next folded event, the join included."""
    sizes = [int(size) for size in users.split(",")]
    restart_job.measure(broker.value, sizes=sizes, runs=runs, partitions=partitions, seed=seed, output=output)


@app.command()
def scaling(
    curves: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(scaling_job.CURVES),
    events: Annotated[int, typer.Option(min=50_000, help="How many are folded at each point.")] = 150_000,
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """What an event costs with more workers, and with ten times the users, items, partitions and rules."""
    scaling_job.measure(broker.value, curves=curves.split(","), events=events, runs=runs, seed=seed, output=output)


@app.command()
def profile(
    events: Annotated[int, typer.Option(min=10_000, help="How many are folded.")] = 60_000,
    runs: Runs = 3,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Where the fold's CPU goes, without a broker."""
    profiling_job.measure(events=events, runs=runs, seed=seed, output=output)


@app.command()
def capacity(
    users: Sizes = "10000,1000000,100000000",
    figures: Annotated[Path, typer.Option(help="Folder with the JSON of pipeline, memory, restart.")] = _FIGURES,
    events_per_user_day: Annotated[float, typer.Option(min=0.001, help="Mean over all known users.")] = 3.0,
    peak: Annotated[float, typer.Option(min=1, help="Busiest second beside the mean.")] = 5.0,
    worker_gib: Annotated[float, typer.Option(min=1, help="Memory that one fold may take.")] = 8.0,
    kept_days: Annotated[int, typer.Option(min=1, help="How long events are kept.")] = 365,
) -> None:
    """Cores, brokers and partitions for a number of users, computed from measured costs, as Markdown."""
    assumed = capacity_job.Assumptions(
        events_per_user_day=events_per_user_day, peak=peak, worker_gib=worker_gib, kept_days=kept_days
    )
    costs = capacity_job.Costs.read(figures)
    found = [capacity_job.needs(int(size), costs, assumed) for size in users.split(",")]
    typer.echo(f"{capacity_job.costs_markdown(costs)}\n\n{capacity_job.markdown(found)}")


@app.command("all")
def every(
    only: Annotated[str, typer.Option(help="These alone, separated by commas; the guard always.")] = "",
    broker: Broker = On.KAFKA,
    commit: Annotated[
        bool, typer.Option("--commit", help="Keep the JSON as committed figures, and write the documents' tables.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Where the JSON goes; build/benchmarks by default.")] = None,
) -> None:
    """Run all of these one after the other, in about 35 minutes, and print the README's table."""
    everything.measure(broker.value, only=only.split(",") if only else (), folder=folder, commit=commit)


@app.command()
def table(
    write: Annotated[bool, typer.Option("--write", help="Put the tables into the documents.")] = False,
    figures: Annotated[Path, typer.Option(help="Folder with the JSON.")] = _FIGURES,
) -> None:
    """Print the README's table, made from the committed JSON."""
    if write:
        for path in tables.write(figures):
            typer.echo(f"written anew: {path}", err=True)
    typer.echo(tables.summary(tables.read(figures)))
