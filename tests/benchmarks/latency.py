"""Latency from an event to its message, readable by a ``read_committed`` consumer, as a histogram.

The load is open loop (:mod:`tests.benchmarks.open_loop`). The time since the broker acknowledged the event is measured
too. Broker, worker, sender and reader share this machine, so the report also says how many cores each of them used.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stream.cluster.topics import create
from tests.benchmarks import open_loop, stages, worker
from tests.benchmarks.broker import Broker, Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.guard import await_open
from tests.benchmarks.load_choice import Workload, title_of
from tests.benchmarks.log import log_of
from tests.benchmarks.open_loop import CoreShares, OpenLoop, Probes, Sender
from tests.benchmarks.report import BenchReport, Grid, Spread

HANGING_RATE = 5_000
WARM_UP = OpenLoop(5_000, 30.0, 8, 0)
"""Load of a run before the first one that counts.

A new broker compiles its code for a minute, and takes more CPU time for that than for the load.
"""
DRAIN_S = 60.0
BOUNDS_MS = (1, 2, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 2_000, 5_000, 10_000)
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True)
class LatencyPlan:
    """Parameters of the measurement.

    Attributes
    ----------
    rates
        Numbers of events per second.
    seconds
        Duration of each run after the warm-up.
    runs
        Number of runs of each rate.
    partitions
        Number of partitions of the log.
    seed
        Seed of the load.
    with_hanging_provider
        Whether to measure also 5,000 events/s with a hanging provider.
    load
        Name of the load of the events that are not probes.
    """

    rates: tuple[int, ...]
    seconds: float
    runs: int
    partitions: int
    seed: int
    with_hanging_provider: bool = True
    load: Workload = Workload.VISITS


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that this percentage of the values does not exceed.

    Examples
    --------
    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def histogram(values: Sequence[float]) -> dict[str, int]:
    """Count the values between each bound and the previous bound."""
    counts = dict.fromkeys([*(f"<= {bound} ms" for bound in BOUNDS_MS), "more"], 0)
    for value in values:
        bound = next((f"<= {bound} ms" for bound in BOUNDS_MS if value <= bound), "more")
        counts[bound] += 1
    return counts


def summary(runs: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return percentiles and maximum of each run, and one histogram of all runs; each run must be sorted."""
    shown = {f"p{percent:g}": Spread.of(percentile(run, percent) for run in runs) for percent in PERCENTILES}
    together = [value for run in runs for value in run]
    return {
        "count": len(together),
        **shown,
        "max": Spread.of(run[-1] for run in runs),
        "histogram": histogram(together),
    }


def measure(kind: Kind, plan: LatencyPlan, output: Path | None) -> None:
    """Measure every rate, and 5,000 events/s with a hanging provider, and report."""
    report = BenchReport(
        "latency", output, load=plan.load, seconds=plan.seconds, partitions=plan.partitions, seed=plan.seed
    )
    loads = {f"{rate:,} events/s": (rate, False) for rate in plan.rates}
    if plan.with_hanging_provider:
        loads[f"{HANGING_RATE:,} events/s, a provider hangs"] = (HANGING_RATE, True)
    taken: dict[str, list[_Taken]] = {name: [] for name in loads}
    with a_broker(kind) as broker:
        report.say("warming up the broker")
        _run_once(broker, WARM_UP, hangs=False)
        for run in range(plan.runs):
            for name, (rate, hangs) in loads.items():
                load = OpenLoop(rate, plan.seconds, plan.partitions, plan.seed, plan.load)
                one = _run_once(broker, load, hangs=hangs)
                if not one.due:
                    raise RuntimeError(f"at {name} no message could be read within {DRAIN_S:.0f} s")
                taken[name].append(one)
                report.say(
                    f"run {run + 1} of {plan.runs}, {name}: p50 {percentile(one.due, 50):.1f}, "
                    f"p99 {percentile(one.due, 99):.1f}, max {one.due[-1]:.0f} ms"
                )
    results = {
        name: {
            "events_per_second": loads[name][0],
            "due": summary([one.due for one in several]),
            "accepted": summary([one.accepted for one in several]),
            "missing": sum(one.missing for one in several),
            "cores": {process: Spread.of(one.cores[process] for one in several) for process in several[0].cores},
            **stages.summary([(one.stages, one.lanes) for one in several], percentile),
        }
        for name, several in taken.items()
    }
    report.put(broker=broker.name, loads=results)
    report.show(tables(report.content))
    report.write()


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Return the tables of the measurement: percentiles, histogram, and cores."""
    loads = content["loads"]
    rows = [
        (
            name,
            str(result["due"]["count"]),
            str(result["missing"]),
            *(Spread.read(result["due"][f"p{percent:g}"]).show(".1f") for percent in PERCENTILES),
            Spread.read(result["due"]["max"]).show(),
            Spread.read(result["accepted"]["p50"]).show(".1f"),
            Spread.read(result["accepted"]["p99"]).show(".1f"),
        )
        for name, result in loads.items()
    ]
    bounds = [
        bound
        for bound in next(iter(loads.values()))["due"]["histogram"]
        if any(result["due"]["histogram"][bound] for result in loads.values())
    ]
    shares = [
        (
            bound,
            *(f"{result['due']['histogram'][bound] / result['due']['count']:.1%}" for result in loads.values()),
        )
        for bound in bounds
    ]
    percentiles = [f"p{percent:g}" for percent in PERCENTILES]
    parties = list(dict.fromkeys(who for result in loads.values() for who in result["cores"]))
    cores = [
        (name, *(Spread.read(result["cores"][who]).show(".2f") if who in result["cores"] else "" for who in parties))
        for name, result in loads.items()
    ]
    return [
        Grid(
            f"Time from an event's due time to its readable message, ms; {content['seconds']:.0f} s per run; "
            f"{title_of(content)}; {content['broker']}",
            ("load", "probes", "missing", *percentiles, "max", "since accepted: p50", "p99"),
            rows,
        ),
        Grid("The same times as a histogram: share of the probes", ("", *loads), shares),
        Grid("Cores in use meanwhile", ("", *parties), cores),
        *stages.tables(loads),
    ]


class _Taken(NamedTuple):
    """Result of one run.

    Attributes
    ----------
    due, accepted
        Times since the events were due and since they were accepted, milliseconds, ascending.
    missing
        Number of probes whose message could not be read.
    cores
        Number of cores used by each process while the counted events were sent.
    stages
        Durations of each stage, milliseconds, ascending.
    lanes
        Figures of the fold's transactions.
    """

    due: list[float]
    accepted: list[float]
    missing: int
    cores: dict[str, float]
    stages: dict[str, list[float]]
    lanes: dict[str, float]


def _run_once(broker: Broker, load: OpenLoop, *, hangs: bool) -> _Taken:
    with tempfile.TemporaryDirectory(prefix="bench-latency-") as folder:
        return asyncio.run(_run(broker, load, Path(folder), hangs=hangs))


async def _run(broker: Broker, load: OpenLoop, folder: Path, *, hangs: bool) -> _Taken:
    connection, partitions = broker.connection(), load.partitions
    create(connection, partitions)
    topic = connection.topic("events")
    known = [open_loop.identify(number) for number in range(open_loop.PROBERS)]
    await feed(connection, topic, partitions, log_of(known, clock="wall", more_rules=open_loop.MORE_RULES))
    probes = Probes()
    async with contextlib.AsyncExitStack() as stack:
        more = await stack.enter_async_context(open_loop.provider_that_hangs(folder)) if hangs else {}
        roles = ("fold", "deliver") if hangs else ("fold",)
        workers = stack.enter_context(worker.running(roles, connection, partitions, folder, more))
        await asyncio.to_thread(await_open, workers[0], partitions)
        reading = asyncio.create_task(open_loop.read(connection, partitions, probes))
        processes = {"broker": broker.pid, **{each.role: each.process.pid for each in workers}}
        if broker.relay is not None:
            processes["relay"] = broker.relay
        shares = CoreShares({**processes, "sender and reader": os.getpid()})
        before = asyncio.create_task(stages.LaneSums.read_after(open_loop.WARM_S, workers[0]))
        from_ = await Sender(load, topic, probes, shares).run(connection)
        lanes = (await stages.LaneSums.read_after(0.0, workers[0])).since(await before)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while len(probes.read) < len(probes.due):  # noqa: ASYNC110 - the reader does not end by itself
                    await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.wait([reading])
        for each in workers:
            each.check("measuring")
    missing = len(probes.due) - len(probes.read)
    due, accepted = probes.since(probes.due, from_), probes.since(probes.accepted, from_)
    return _Taken(due, accepted, missing, shares.cores, stages.stages_of(probes, from_), lanes)
