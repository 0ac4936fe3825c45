"""Cost of an event with more workers, and with ten times the users, items, partitions and rules.

The curve of segments is measured by :mod:`tests.benchmarks.segment_costs`, without a broker.

``docs/benchmarks.md`` explains each curve that is not flat.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import InvalidConfiguration
from stream.cluster.topics import create
from tests.benchmarks import segment_costs, worker
from tests.benchmarks.broker import Broker, Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.load_choice import Workload, load_of, title_of
from tests.benchmarks.log import log_of
from tests.benchmarks.report import BenchReport, Grid, Spread
from tests.benchmarks.worker import FoldCost

PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """One point of one curve.

    Attributes
    ----------
    workers, users, items, partitions
        Number of each.
    rules
        Number of rules in addition to the shop's preset; each waits for an event that never comes.
    """

    workers: int = 1
    users: int = 200_000
    items: int = 20_000
    partitions: int = 8
    rules: int = 0

    @property
    def more_rules(self) -> str:
        """The additional rules, in the form of ``perennial.yaml``."""
        return "".join(
            f"  - name: rule_{number}\n    when: {{event: Event {number}}}\n    template: first_order\n"
            for number in range(self.rules)
        )


CURVES: dict[str, Sequence[ScalingPoint]] = {
    "workers": [ScalingPoint(workers=count) for count in (1, 2, 4)],
    "users": [ScalingPoint(users=count) for count in (20_000, 200_000, 2_000_000)],
    "items": [ScalingPoint(items=count) for count in (2_000, 20_000, 200_000)],
    "partitions": [ScalingPoint(partitions=count) for count in (4, 40)],
    "rules": [ScalingPoint(rules=count) for count in (5, 50, 500)],
}
SEGMENTS = "segments"
"""Name of the curve that needs no broker."""
NAMES = (*CURVES, SEGMENTS)
"""Names of all curves."""


@dataclass(frozen=True)
class ScalingPlan:
    """Parameters of the measurement.

    Attributes
    ----------
    curves
        Names of the curves.
    events
        Number of events that are folded at each point.
    runs
        Number of runs of each point.
    seed
        Seed of the load.
    load
        Name of the load.
    """

    curves: Sequence[str]
    events: int
    runs: int
    seed: int
    load: Workload = Workload.VISITS


def measure(kind: Kind, plan: ScalingPlan, output: Path | None) -> None:
    """Measure the curves, and report.

    Raises
    ------
    InvalidConfiguration
        There is no curve of one of the names.
    AboveLimit
        Segments cost more than is promised. The report was written.
    """
    if unknown := set(plan.curves) - set(NAMES):
        raise InvalidConfiguration("--curves", ", ".join(sorted(unknown)), f"one or more of {', '.join(NAMES)}")
    report = BenchReport("scaling", output, load=plan.load, events=plan.events, seed=plan.seed)
    if curves := [curve for curve in plan.curves if curve != SEGMENTS]:
        _measure_curves(report, kind, plan, curves)
    else:
        report.put(broker="no broker", curves={})
    if SEGMENTS in plan.curves:
        found = segment_costs.measure(plan.load, events=plan.events, runs=plan.runs, seed=plan.seed)
        report.put(segments=found)
    report.show(tables(report.content))
    report.write()
    if SEGMENTS in plan.curves:
        segment_costs.check(report.content["segments"])


def _measure_curves(report: BenchReport, kind: Kind, plan: ScalingPlan, curves: Sequence[str]) -> None:
    """Fold the same number of events at each point of the curves.

    A point that belongs to several curves is measured once. Every run measures all points, so that temporary load on
    the machine does not affect only one of them.
    """
    runs = plan.runs
    cases = list(dict.fromkeys(case for curve in curves for case in CURVES[curve]))
    taken: dict[ScalingPoint, list[FoldCost]] = {case: [] for case in cases}
    with a_broker(kind) as broker:
        for run in range(runs):
            for number, case in enumerate(cases):
                taken[case].append(_fold(broker, case, plan))
                rate, cost = taken[case][-1][:2]
                report.say(
                    f"run {run + 1} of {runs}, point {number + 1} of {len(cases)}: "
                    f"{case}: {rate:,.0f} events/s, {cost:.1f} us"
                )
    found = {
        curve: [
            {
                "count": getattr(case, curve),
                "events_per_second": Spread.of(one.rate for one in taken[case]),
                "cpu_us": Spread.of(one.cpu_us for one in taken[case]),
                "broker_cpu_us": Spread.of(one.broker_us for one in taken[case]),
                "timers_per_event": Spread.of(one.timers for one in taken[case]),
            }
            for case in CURVES[curve]
        ]
        for curve in curves
    }
    report.put(broker=broker.name, curves=found)


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Return the tables of the measurement."""
    rows = []
    for curve, points in content["curves"].items():
        first = points[0]["cpu_us"]["median"]
        for point in points:
            rate, cost, timers, brokers = (
                Spread.read(point[name])
                for name in ("events_per_second", "cpu_us", "timers_per_event", "broker_cpu_us")
            )
            beside = f"{cost.median / first:.2f} x"
            shown = (rate.show(), cost.show(".1f"), beside, timers.show(".2f"), brokers.show(".1f"))
            rows.append((curve, f"{point['count']:,}", *shown))
    headings = (
        "",
        "number",
        "events/s",
        "CPU per event, us",
        "relative to the first",
        "timers per event",
        "CPU of the broker, us",
    )
    title = f"CPU time per event as the load grows; {title_of(content)}; {content['broker']}"
    grids = [Grid(title, headings, rows)] if rows else []
    if "segments" in content:
        grids += segment_costs.tables(content["segments"], title_of(content))
    return grids


def _fold(broker: Broker, case: ScalingPoint, plan: ScalingPlan) -> FoldCost:
    connection = broker.connection()
    create(connection, case.partitions)
    load = load_of(plan.load, plan.events, case.users, items=case.items, seed=plan.seed)
    log = log_of(load, more_rules=case.more_rules)
    asyncio.run(feed(connection, connection.topic("events"), case.partitions, log))
    with (
        tempfile.TemporaryDirectory(prefix="bench-scaling-") as name,
        worker.running(["fold"] * case.workers, connection, case.partitions, Path(name)) as workers,
    ):
        return worker.watch(workers, plan.events, broker.cpu_s, PATIENCE_S)
