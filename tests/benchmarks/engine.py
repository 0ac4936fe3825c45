"""How fast events are read, decoded and acknowledged, beside the peers: same topic, same run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.broker import Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import Load
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.environments import python_of, version_of
from tests.benchmarks.peers.running import Figure, NoAnswer, run_program
from tests.benchmarks.report import Grid, Report, Spread
from tests.support.brokers import create_topics

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
    """What was measured, for people."""
    times = content["perennial_is_times"]
    return [
        Grid(
            f"Read, decode, acknowledge; one process each; {content['broker']}",
            ("", "events/s", "us CPU an event", "Perennial is"),
            [
                (
                    f"{side} {content['peer_versions'].get(side, '')}".strip(),
                    Spread.read(rate).show(),
                    Spread.read(content["cpu_us"][side]).show(".2f"),
                    Spread.read(times[side]).show(".2f", " x") if side in times else "",
                )
                for side, rate in content["events_per_second"].items()
            ],
        )
    ]
