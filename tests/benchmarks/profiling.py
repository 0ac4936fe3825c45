"""CPU profile of the fold: the pure fold alone, in this process, without any broker.

A profiler makes every call slower, so its shares are too high for code with many small functions. Therefore the cost of
an event is measured without the profiler. The pipeline also reads, sends and commits, which is not measured here.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.batch import Batch, Restored
from models.fold.partition import PartitionFold
from tests.benchmarks.load_choice import Records, Workload, load_of, title_of
from tests.benchmarks.log import log_of
from tests.benchmarks.profiles import ProfileRecord
from tests.benchmarks.report import BenchReport, Grid, Spread
from tests.support.paths import ROOT

BATCH = 2_000
TOLD = 14


def measure(workload: Workload, *, events: int, runs: int, seed: int, output: Path | None) -> None:
    """Fold a log of each load several times, one log once under the profiler, and report."""
    report = BenchReport("profile", output, load=workload, events=events, seed=seed, broker="none")
    logs = {one: _records(_load(one, events, seed)) for one in Workload}
    costs: dict[Workload, list[float]] = {one: [] for one in logs}
    timers: dict[Workload, float] = {}
    for run in range(runs):
        for one, records in logs.items():
            cost, timers[one] = _fold(records, events)
            costs[one].append(cost)
            report.say(f"run {run + 1} of {runs}, {one}: {cost:.1f} us CPU per event")
    profiler = cProfile.Profile()
    with profiler:
        _fold(logs[workload], events)
    report.put(
        cpu_us=Spread.of(costs[workload]),
        timers_per_event=timers[workload],
        shares=_shares(pstats.Stats(profiler)),
        by_load={one: {"cpu_us": Spread.of(costs[one]), "timers_per_event": timers[one]} for one in logs},
    )
    report.show(tables(report.content))
    report.write()


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Return the tables of the measurement."""
    cost = Spread.read(content["cpu_us"])
    shares = list(content["shares"].items())
    rest = sum(share for _, share in shares[TOLD:])
    rows = [(name, f"{share:.1%}", f"{share * cost.median:.1f}") for name, share in shares[:TOLD]]
    rows += [("everything else", f"{rest:.1%}", f"{rest * cost.median:.1f}"), ("together", "", cost.show(".1f"))]
    shown = Grid(
        f"The fold alone, without a broker: shares of its CPU time; {title_of(content)}",
        ("", "share", "us per event"),
        rows,
    )
    if "by_load" not in content:
        return [shown]
    loads = [
        (title_of({"load": one}), Spread.read(took["cpu_us"]).show(".1f"), f"{took['timers_per_event']:.2f}")
        for one, took in content["by_load"].items()
    ]
    return [Grid("The fold alone, without a broker: CPU time by load", _LOAD_HEADINGS, loads), shown]


_LOAD_HEADINGS = ("load", "CPU per event, us", "timers per event")


def _load(workload: Workload, events: int, seed: int) -> Records:
    return load_of(workload, events, events if workload is Workload.SINGLE else None, seed=seed)


def _records(load: Records) -> list[ProfileRecord]:
    return [ProfileRecord(offset, 0, key, value) for offset, (key, value) in enumerate(log_of(load))]


def _fold(records: Sequence[ProfileRecord], events: int) -> tuple[float, float]:
    state = Restored()
    fold = PartitionFold(state)
    timers = 0.0
    began = time.process_time()
    for first in range(0, len(records), BATCH):
        outputs = fold.fold(Batch("events", 0, records[first : first + BATCH]))
        state.apply(outputs.commit)
        timers += sum(count for (name, *_), count in outputs.counts.items() if name == "timers_fired")
    return (time.process_time() - began) / events * 1e6, timers / events


def _shares(stats: pstats.Stats) -> dict[str, float]:
    """Return the share of each file, largest first; code that is not Python counts for the file that calls it."""
    spent: Counter[str] = Counter()
    every: Mapping[Any, Any] = stats.stats  # type: ignore[attr-defined]  # documented, but not in its stubs
    for (file, _, _), (_, _, own, _, callers) in every.items():
        if file == "~":
            for (caller, _, _), (_, _, part, _) in callers.items():
                spent[_name(caller)] += part
        else:
            spent[_name(file)] += own
    total = sum(spent.values())
    return {name: part / total for name, part in spent.most_common()}


def _name(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(ROOT) and ".venv" not in path.parts:
        return str(path.relative_to(ROOT))
    return "libraries" if path.is_absolute() else "Python itself"
