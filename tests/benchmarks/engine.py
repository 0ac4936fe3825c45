"""Speed of reading, decoding and acknowledging events, compared with peers on the same topic in the same run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.broker import Kind, a_broker
from tests.benchmarks.comparison import Comparison, skipped
from tests.benchmarks.feeding import feed
from tests.benchmarks.load_choice import load_of, title_of
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.environments import missing_of, version_of
from tests.benchmarks.peers.running import Figure, LogSource, NoAnswer, run_program
from tests.benchmarks.report import BenchReport, Grid, Spread
from tests.support.brokers import create_topics

READ_AT_MOST = {"faust": 100_000, "quix": 500_000, "pathway": 1_000_000}
"""Number of records that a slow system reads, because all of them would take minutes."""
MAX_DISTINCT = 200_000
"""Maximum number of different events; a longer log repeats them."""


def measure(kind: Kind, plan: Comparison, output: Path | None) -> None:
    """Run every system ``runs`` times, one after the other, and report."""
    sides, runs, partitions, seed = plan.sides, plan.runs, plan.partitions, plan.seed
    report = BenchReport("engine", output, load=plan.load, events=plan.events, partitions=partitions, seed=seed)
    absent = missing_of(sides, report.say)
    times = max(1, plan.events // MAX_DISTINCT)
    load = list(log_of(load_of(plan.load, plan.events // times, seed=seed)))
    figures: dict[str, list[Figure]] = {side: [] for side in sides}
    with a_broker(kind) as broker:
        connection = broker.connection()
        topic = connection.topic("events")
        create_topics(connection, {"events": partitions})
        report.say(f"{broker.name}: feeding {plan.events:,} events")
        records = asyncio.run(feed(connection, topic, partitions, load, times))
        for run in range(runs):
            # Each run begins with another system, because the first system of a run finds the broker's caches cold.
            for side in [*sides[run % len(sides) :], *sides[: run % len(sides)]]:
                if side in absent:
                    continue
                expected = min(records, READ_AT_MOST.get(side, records))
                try:
                    figure = run_program(
                        side, "engine", LogSource(connection.servers, topic, partitions), run, expected
                    )
                except NoAnswer as error:
                    absent[side] = str(error)
                    report.say(f"{side}: {error}")
                    continue
                figures[side].append(figure)
                report.say(f"{side}: {figure.rate:,.0f} events/s, {figure.cpu_us:.2f} us CPU per event")
    _report(report, broker.name, figures, absent)


def _report(report: BenchReport, broker: str, figures: dict[str, list[Figure]], absent: dict[str, str]) -> None:
    ours = figures.get("perennial", [])
    report.put(
        broker=broker,
        peer_versions={side: version_of(side) for side in figures if side != "perennial"},
        events_per_second={side: Spread.of(one.rate for one in taken) for side, taken in figures.items() if taken},
        cpu_us={side: Spread.of(one.cpu_us for one in taken) for side, taken in figures.items() if taken},
        perennial_is_times={
            side: Spread.of(a.rate / b.rate for a, b in zip(ours, taken, strict=False))
            for side, taken in figures.items()
            if ours and taken and side != "perennial"
        },
        absent=absent,
    )
    report.show(tables(report.content))
    report.write()


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Return the tables of the measurement."""
    times = content["perennial_is_times"]
    rows: list[tuple[str, ...]] = [
        (
            f"{side} {content['peer_versions'].get(side, '')}".strip(),
            Spread.read(rate).show(),
            Spread.read(content["cpu_us"][side]).show(".2f"),
            Spread.read(times[side]).show(".2f", " x") if side in times else "",
        )
        for side, rate in content["events_per_second"].items()
    ]
    return [
        Grid(
            f"Read, decode, acknowledge; one process each; {title_of(content)}; {content['broker']}",
            ("", "events/s", "CPU per event, us", "Perennial is faster"),
            rows + skipped(content["absent"], columns=4),
        )
    ]
