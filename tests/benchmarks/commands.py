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
from tests.benchmarks import idle as idle_job
from tests.benchmarks import latency as latency_job
from tests.benchmarks import memory as memory_job
from tests.benchmarks import pipeline as pipeline_job
from tests.benchmarks import profiling as profiling_job
from tests.benchmarks import restart as restart_job
from tests.benchmarks import scaling as scaling_job
from tests.benchmarks import table as tables
from tests.benchmarks.comparison import SIDES, Comparison
from tests.benchmarks.latency import LatencyPlan
from tests.benchmarks.load_choice import Workload
from tests.benchmarks.scaling import ScalingPlan

app = typer.Typer(help="Measure on this machine, and compare with peers.", no_args_is_help=True, add_completion=False)

# A new topic has no leader for a moment, and aiokafka logs a warning about that for every partition.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class On(StrEnum):
    """Kind of broker."""

    KAFKA = "kafka"
    EMBEDDED = "embedded"


Broker = Annotated[
    On, typer.Option("--broker", help="Apache Kafka (from KAFKA_HOME, otherwise ../shared/kafka), or embedded.")
]
Runs = Annotated[int, typer.Option(min=1, help="Number of runs of each system; medians are reported.")]
Output = Annotated[Path | None, typer.Option(help="File for the JSON; by default in build/benchmarks.")]
Seed = Annotated[int, typer.Option(help="Seed of the load.")]
Load = Annotated[Workload, typer.Option("--load", help="Visits with 20, 10 or 40 for each purchase, or single events.")]
Partitions = Annotated[int, typer.Option(min=1, help="Number of partitions of the log.")]
Sides = Annotated[str, typer.Option(help="Systems to measure, separated by commas.")]
Sizes = Annotated[str, typer.Option(help="Numbers of users, separated by commas.")]
_FIGURES = capacity_job.FIGURES
_SIDES = ",".join(SIDES)


@app.callback()
def _bench() -> None:
    """Measure on this machine, and compare with peers. Each command prints a table and writes JSON."""
    # SIGTERM becomes an exception, so that every cleanup that ends brokers and workers runs.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@app.command()
def engine(
    events: Annotated[int, typer.Option(min=100_000, help="Number of events that each system reads.")] = 2_000_000,
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    sides: Sides = _SIDES,
    partitions: Partitions = 8,
    load: Load = Workload.VISITS,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Measure one process that reads, decodes and acknowledges, in events per second, and compare with peers."""
    plan = Comparison(events, runs, tuple(sides.split(",")), partitions, seed, load)
    engine_job.measure(broker.value, plan, output)


@app.command()
def pipeline(
    events: Annotated[int, typer.Option(min=20_000, help="Number of events that our worker folds.")] = 300_000,
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    sides: Sides = _SIDES,
    partitions: Partitions = 8,
    load: Load = Workload.VISITS,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Measure one worker with profiles, models and triggers, durably, in events per second; compare with peers."""
    plan = Comparison(events, runs, tuple(sides.split(",")), partitions, seed, load)
    pipeline_job.measure(broker.value, plan, output)


@app.command()
def guard(
    broker: Annotated[
        On | None, typer.Option(help="Apache Kafka if one is found, otherwise the embedded broker, by default.")
    ] = None,
    load: Load = Workload.VISITS,
    commit: Annotated[bool, typer.Option("--commit", help="Commit this figure as the new reference.")] = False,
    output: Output = None,
) -> None:
    """Fail if an event of the pipeline costs a quarter more than the reference, relative to a bare aiokafka loop."""
    guard_job.measure(broker.value if broker else guard_job.available(), load, commit=commit, output=output)


@app.command()
def latency(
    rates: Annotated[str, typer.Option(help="Events per second, separated by commas.")] = "1,50,1000,5000,10000",
    seconds: Annotated[float, typer.Option(min=1, help="Duration of each run after a warm-up of five seconds.")] = 20,
    runs: Runs = 3,
    hanging: Annotated[bool, typer.Option(help="Also measure 5,000 events/s while a provider hangs.")] = True,
    broker: Broker = On.KAFKA,
    partitions: Partitions = 8,
    load: Load = Workload.VISITS,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Measure the time from an event to its readable message under an open-loop load, as a histogram."""
    numbers = tuple(int(rate) for rate in rates.split(","))
    plan = LatencyPlan(numbers, seconds, runs, partitions, seed, with_hanging_provider=hanging, load=load)
    latency_job.measure(broker.value, plan, output)


@app.command()
def idle(
    seconds: Annotated[float, typer.Option(min=1, help="Duration of each measurement.")] = 15,
    runs: Runs = 3,
    broker: Broker = On.EMBEDDED,
    against: Annotated[
        Path | None, typer.Option(help="Another checkout, which is measured in turn with this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Output = None,
) -> None:
    """Measure the CPU time of `perennial up` while no event comes, in per cent of a core, by process."""
    idle_job.measure(broker.value, idle_job.IdlePlan(seconds, runs, against), as_json=as_json, output=output)


@app.command()
def memory(
    users: Sizes = "100000,1000000",
    broker: Broker = On.KAFKA,
    partitions: Partitions = 8,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Measure the resident memory of a worker with this number of users, after a simulated month of full use."""
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
    """Measure the seconds from kill -9 of a fold to its next folded event, including the join of its group."""
    sizes = [int(size) for size in users.split(",")]
    restart_job.measure(broker.value, sizes=sizes, runs=runs, partitions=partitions, seed=seed, output=output)


@app.command()
def scaling(
    curves: Annotated[str, typer.Option(help="Curves, separated by commas.")] = ",".join(scaling_job.NAMES),
    events: Annotated[int, typer.Option(min=50_000, help="Number of events folded at each point.")] = 150_000,
    runs: Runs = 3,
    broker: Broker = On.KAFKA,
    load: Load = Workload.VISITS,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Measure the cost of an event with more workers, and with ten times the users, items, partitions, rules, segments.

    The curve `segments` is measured in the fold alone, without a broker. The command fails if an event with 500
    segments costs over 1.15 x what it costs with 5, while it touches the same five. It also fails if a segment of five
    clauses adds over 40 bytes to a user who does nothing that it asks for.
    """
    scaling_job.measure(broker.value, ScalingPlan(curves.split(","), events, runs, seed, load), output)


@app.command()
def profile(
    events: Annotated[int, typer.Option(min=10_000, help="Number of events that are folded.")] = 60_000,
    runs: Runs = 3,
    load: Load = Workload.VISITS,
    seed: Seed = 1,
    output: Output = None,
) -> None:
    """Measure the CPU time of the fold, without a broker."""
    profiling_job.measure(load, events=events, runs=runs, seed=seed, output=output)


@app.command()
def capacity(
    users: Sizes = "10000,1000000,100000000",
    figures: Annotated[Path, typer.Option(help="Folder with the JSON of pipeline, memory and restart.")] = _FIGURES,
    events_per_user_day: Annotated[float, typer.Option(min=0.001, help="Mean over all known users.")] = 3.0,
    peak: Annotated[float, typer.Option(min=1, help="Busiest second as a multiple of the mean.")] = 5.0,
    worker_gib: Annotated[float, typer.Option(min=1, help="Memory that one fold may take.")] = 8.0,
    kept_days: Annotated[int, typer.Option(min=1, help="Number of days for which events are kept.")] = 365,
) -> None:
    """Compute cores, brokers and partitions for a number of users from measured costs, as Markdown."""
    assumed = capacity_job.Assumptions(
        events_per_user_day=events_per_user_day, peak=peak, worker_gib=worker_gib, kept_days=kept_days
    )
    costs = capacity_job.Costs.read(figures)
    found = [capacity_job.needs(int(size), costs, assumed) for size in users.split(",")]
    typer.echo(f"{capacity_job.costs_markdown(costs)}\n\n{capacity_job.markdown(found)}")


@app.command("all")
def every(
    only: Annotated[str, typer.Option(help="Run only these, separated by commas; the guard always runs.")] = "",
    broker: Broker = On.KAFKA,
    load: Load = Workload.VISITS,
    commit: Annotated[
        bool, typer.Option("--commit", help="Keep the JSON as committed figures, and write the documents' tables.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Folder for the JSON; by default build/benchmarks.")] = None,
) -> None:
    """Run all benchmarks one after the other, in about 37 minutes, and print the README's table."""
    chosen = everything.Choice(broker.value, load, only.split(",") if only else ())
    everything.measure(chosen, folder=folder, commit=commit)


@app.command()
def table(
    write: Annotated[bool, typer.Option("--write", help="Write the tables into the documents.")] = False,
    figures: Annotated[Path, typer.Option(help="Folder with the JSON.")] = _FIGURES,
) -> None:
    """Print the README's table, made from the committed JSON."""
    if write:
        for path in tables.write(figures):
            typer.echo(f"rewritten: {path}", err=True)
    typer.echo(tables.summary(tables.read(figures)))
