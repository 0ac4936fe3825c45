"""The full pipeline compared with peers: profiles, models, interactions, triggers, durable state.

All systems read the same topic in the same run. Our side is an ordinary ``perennial worker`` without delivery: one
process folds, another one learns. The rate comes from the worker's metrics, which count committed events. The
learners' CPU time is added to our side.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.cluster.connection import Connection
from stream.cluster.topics import create
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker, Kind, a_broker
from tests.benchmarks.comparison import Comparison, skipped
from tests.benchmarks.feeding import feed
from tests.benchmarks.load_choice import VARIED, Workload, load_of, title_of
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.environments import missing_of, version_of
from tests.benchmarks.peers.running import Figure, LogSource, NoAnswer, run_program, topics_of
from tests.benchmarks.report import BenchReport, Grid, Spread
from tests.benchmarks.worker import FoldCost
from tests.support.brokers import create_topics

READ_AT_MOST = {"faust": 20_000}
"""Number of records that a slow system reads: the beginning of the log, where profiles are small."""
PATIENCE_S = 900.0


def measure(kind: Kind, plan: Comparison, output: Path | None) -> None:
    """Run every system ``runs`` times, one after the other on the same topic, and report."""
    sides, runs, partitions = plan.sides, plan.runs, plan.partitions
    report = BenchReport("pipeline", output, load=plan.load, events=plan.events, partitions=partitions, seed=plan.seed)
    absent = missing_of(sides, report.say)
    load = list(log_of(load_of(plan.load, plan.events, seed=plan.seed)))
    ours: list[FoldCost] = []
    theirs: dict[str, list[Figure]] = {side: [] for side in sides if side != "perennial"}
    with a_broker(kind) as broker:
        for run in range(runs):
            connection = broker.connection()
            topic = connection.topic("events")
            create(connection, partitions)
            report.say(f"{broker.name}: feeding {plan.events:,} events, run {run + 1} of {runs}")
            records = asyncio.run(feed(connection, topic, partitions, load))
            names = [f"{side}{run}" for side in theirs]
            outputs = [name.removeprefix(connection.prefix) for name in topics_of(topic, names)]
            if outputs:
                create_topics(connection, dict.fromkeys(outputs, partitions))
            for side in [side for side in theirs if side not in absent]:
                expected = min(records, READ_AT_MOST.get(side, records))
                try:
                    figure = run_program(
                        side, "pipeline", LogSource(connection.servers, topic, partitions), run, expected
                    )
                except NoAnswer as error:
                    absent[side] = str(error)
                    report.say(f"{side}: {error}")
                    continue
                theirs[side].append(figure)
                report.say(f"{side}: {figure.rate:,.0f} events/s, {figure.cpu_us:.1f} us CPU per event")
            if "perennial" in sides:
                ours.append(_fold(broker, connection, partitions, plan.events))
                report.say(f"perennial: {ours[-1].rate:,.0f} events/s, {ours[-1].cpu_us:.1f} us CPU per event")
        varied = _varied(report, broker, plan) if "perennial" in sides and plan.load is Workload.VISITS else {}
    report.put(by_load={load: _costs(several) for load, several in varied.items()})
    _report(report, broker, ours, theirs, absent)


def _varied(report: BenchReport, broker: Broker, plan: Comparison) -> dict[Workload, list[FoldCost]]:
    """Measure our side on the loads with half and twice the assumed number of visits for each purchase."""
    found: dict[Workload, list[FoldCost]] = {load: [] for load in VARIED}
    for load in VARIED:
        records = list(log_of(load_of(load, plan.events, seed=plan.seed)))
        for run in range(plan.runs):
            connection = broker.connection()
            create(connection, plan.partitions)
            report.say(f"{broker.name}: feeding {title_of({'load': load})}, run {run + 1} of {plan.runs}")
            asyncio.run(feed(connection, connection.topic("events"), plan.partitions, records))
            found[load].append(_fold(broker, connection, plan.partitions, plan.events))
            report.say(
                f"perennial: {found[load][-1].rate:,.0f} events/s, {found[load][-1].cpu_us:.1f} us CPU per event"
            )
    return found


def _costs(several: list[FoldCost]) -> dict[str, Spread]:
    return {
        "events_per_second": Spread.of(one.rate for one in several),
        "cpu_us": Spread.of(one.cpu_us for one in several),
        "learners_cpu_us": Spread.of(one.beside_us for one in several),
        "broker_cpu_us": Spread.of(one.broker_us for one in several),
        "timers_per_event": Spread.of(one.timers for one in several),
    }


def _fold(broker: Broker, connection: Connection, partitions: int, events: int) -> FoldCost:
    with (
        tempfile.TemporaryDirectory(prefix="bench-worker-") as name,
        worker.running(("fold", "learn"), connection, partitions, Path(name)) as workers,
    ):
        return worker.watch(workers, events, broker.cpu_s, PATIENCE_S)


def _report(
    report: BenchReport, broker: Broker, ours: list[FoldCost], theirs: dict[str, list[Figure]], absent: dict[str, str]
) -> None:
    if ours:
        report.put(perennial=_costs(ours))
    peers = {}
    for side, taken in theirs.items():
        if not taken:
            continue
        pairs = list(zip(ours, taken, strict=False))
        peers[side] = {
            "version": version_of(side),
            "records": taken[0].records,
            "events_per_second": Spread.of(one.rate for one in taken),
            "cpu_us": Spread.of(one.cpu_us for one in taken),
            "perennial_is_times_faster": Spread.of(a.rate / b.rate for a, b in pairs) if pairs else None,
            "perennial_is_times_cheaper": Spread.of(b.cpu_us / (a.cpu_us + a.beside_us) for a, b in pairs)
            if pairs
            else None,
        }
    report.put(broker=broker.name, peers=peers, absent=absent)
    report.show(tables(report.content))
    report.write()


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Return the tables of the measurement."""
    rows: list[tuple[str, ...]] = []
    ours = {name: Spread.read(spread) for name, spread in content.get("perennial", {}).items()}
    if ours:
        rows.append(("perennial: fold", ours["events_per_second"].show(), ours["cpu_us"].show(".1f"), "", ""))
        rows.append(("perennial: learners", "", ours["learners_cpu_us"].show(".1f"), "", ""))
    for side, peer in content["peers"].items():
        rate, cost = Spread.read(peer["events_per_second"]), Spread.read(peer["cpu_us"])
        faster, cheaper = (
            Spread.read(peer[name]).show(".1f", " x") if peer[name] else ""
            for name in ("perennial_is_times_faster", "perennial_is_times_cheaper")
        )
        rows.append((f"{side} {peer.get('version', '')}".strip(), rate.show(), cost.show(".1f"), faster, cheaper))
    for load, took in content.get("by_load", {}).items():
        rate, cost = Spread.read(took["events_per_second"]), Spread.read(took["cpu_us"])
        rows.append((f"perennial: fold; {title_of({'load': load})}", rate.show(), cost.show(".1f"), "", ""))
    rows += skipped(content["absent"], columns=5)
    headings = ("", "events/s", "CPU per event, us", "Perennial is faster", "needs less CPU, learners included")
    return [Grid(f"The pipeline, one worker; {title_of(content)}; {content['broker']}", headings, rows)]
