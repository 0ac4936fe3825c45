"""More workers, and ten times more of everything: what an event costs then. Each curve is flat, or explained."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.topics import create
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker, Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import Load
from tests.benchmarks.log import log_of
from tests.benchmarks.report import Report, Spread
from tests.benchmarks.worker import Folded

PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Case:
    """One point of one curve.

    Attributes
    ----------
    workers, users, items, partitions
        How many.
    rules
        Beside those of the shop's preset; each waits for an event of its own name, which never comes.
    """

    workers: int = 1
    users: int = 200_000
    items: int = 20_000
    partitions: int = 8
    rules: int = 0

    @property
    def more_rules(self) -> str:
        """The rules as they stand in ``perennial.yaml``."""
        return "".join(
            f"  - name: rule_{number}\n    when: {{event: Event {number}}}\n    template: first_order\n"
            for number in range(self.rules)
        )


CURVES: dict[str, Sequence[Case]] = {
    "workers": [Case(workers=count) for count in (1, 2, 4)],
    "users": [Case(users=count) for count in (2_000, 20_000, 200_000, 2_000_000)],
    "items": [Case(items=count) for count in (2_000, 20_000, 200_000)],
    "partitions": [Case(partitions=count) for count in (4, 40)],
    "rules": [Case(rules=count) for count in (5, 50, 500)],
}


def measure(kind: Kind, *, curves: Sequence[str], events: int, runs: int, seed: int, output: Path | None) -> None:
    """Fold the same number of events at each point of the curves, and report."""
    report = Report("scaling", output, events=events, seed=seed)
    found: dict[str, list[dict[str, Any]]] = {}
    with a_broker(kind) as broker:
        for curve in curves:
            found[curve] = []
            for case in CURVES[curve]:
                taken = [_fold(broker, case, events, seed) for _ in range(runs)]
                rate, cost = Spread.of(one.rate for one in taken), Spread.of(one.cpu_us for one in taken)
                brokers = Spread.of(one.broker_us for one in taken)
                count = getattr(case, curve)
                found[curve].append(
                    {"count": count, "events_per_second": rate, "cpu_us": cost, "broker_cpu_us": brokers}
                )
                report.say(f"{count:,} {curve}: {rate.show()} events/s, {cost.show('.1f')} us CPU an event")
    report.table(
        f"CPU an event as things grow; {broker.name}",
        ("", "how many", "events/s", "us CPU an event", "beside the first", "us of the broker"),
        [
            (
                curve,
                f"{point['count']:,}",
                point["events_per_second"].show(),
                point["cpu_us"].show(".1f"),
                f"{point['cpu_us'].median / points[0]['cpu_us'].median:.2f} x",
                point["broker_cpu_us"].show(".1f"),
            )
            for curve, points in found.items()
            for point in points
        ],
    )
    report.put(broker=broker.name, curves=found)
    report.write()


def _fold(broker: Broker, case: Case, events: int, seed: int) -> Folded:
    connection = broker.connection()
    create(connection, case.partitions)
    load = Load(events=events, users=case.users, items=case.items, seed=seed)
    log = log_of(load, more_rules=case.more_rules)
    asyncio.run(feed(connection, connection.topic("events"), case.partitions, log))
    with (
        tempfile.TemporaryDirectory(prefix="bench-scaling-") as name,
        worker.running(["fold"] * case.workers, connection, case.partitions, Path(name)) as workers,
    ):
        return worker.watch(workers, events, broker.pid, PATIENCE_S)
