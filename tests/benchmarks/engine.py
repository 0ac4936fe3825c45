"""How fast events are read, decoded and acknowledged, beside the peers: same topic, same run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.broker import Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import Load
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.environments import python_of, version_of
from tests.benchmarks.peers.running import Figure, NoAnswer, run_program
from tests.benchmarks.report import Report, Spread
from tests.brokers import create_topics

SLOW = {"faust": 100_000, "quix": 500_000}
"""Whoever would take minutes for all of it reads so many at most."""
DISTINCT = 200_000
"""So many different events are generated; a longer log repeats them."""


def measure(
    kind: Kind, *, events: int, runs: int, sides: Sequence[str], partitions: int, seed: int, output: Path | None
) -> None:
    """Run every side ``runs`` times, one after the other, and report."""
    report = Report("engine", output, events=events, partitions=partitions, seed=seed)
    for side in sides:
        report.say(f"{side}: {python_of(side)}")
    times = max(1, events // DISTINCT)
    load = list(log_of(Load(events=events // times, seed=seed)))
    figures: dict[str, list[Figure]] = {side: [] for side in sides}
    absent: dict[str, str] = {}
    with a_broker(kind) as broker:
        connection = broker.connection()
        topic = connection.topic("events")
        create_topics(connection, {"events": partitions})
        report.say(f"{broker.name}: feeding {events:,} events")
        records = asyncio.run(feed(connection, topic, partitions, load, times))
        for run in range(runs):
            # each run begins with another side: whoever is first finds the broker's memory colder
            for side in [*sides[run % len(sides) :], *sides[: run % len(sides)]]:
                if side in absent:
                    continue
                expected = min(records, SLOW.get(side, records))
                try:
                    figure = run_program(
                        side, "engine", connection.servers, topic, f"{side}{run}", partitions, expected
                    )
                except NoAnswer as error:
                    absent[side] = str(error)
                    report.say(str(error))
                    continue
                figures[side].append(figure)
                report.say(f"{side}: {figure.rate:,.0f} events/s, {figure.cpu_us:.2f} us CPU an event")
    _tell(report, broker.name, figures, absent)


def _tell(report: Report, broker: str, figures: dict[str, list[Figure]], absent: dict[str, str]) -> None:
    rates = {side: Spread.of(one.rate for one in taken) for side, taken in figures.items() if taken}
    costs = {side: Spread.of(one.cpu_us for one in taken) for side, taken in figures.items() if taken}
    ours = figures.get("perennial", [])
    ratios = {
        side: Spread.of(a.rate / b.rate for a, b in zip(ours, taken, strict=False))
        for side, taken in figures.items()
        if ours and taken
    }
    report.table(
        f"Read, decode, acknowledge; one process each; {broker}",
        ("", "events/s", "us CPU an event", "Perennial is"),
        [
            (
                side if side == "perennial" else f"{side} {version_of(side)}",
                rates[side].show(),
                costs[side].show(".2f"),
                f"{ratios[side].show('.2f')} x" if side in ratios and side != "perennial" else "",
            )
            for side in rates
        ],
    )
    report.put(broker=broker, events_per_second=rates, cpu_us=costs, perennial_is_times=ratios, absent=absent)
    report.write()
