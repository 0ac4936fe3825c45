"""Where the time between an event and its readable message goes: four stages of each probe, and the lanes' own figures.

Three moments divide the way of a probe. The sender hands its event over, the broker acknowledges it, and the lane
writes its message. The message's timestamp is that of the third moment, in whole milliseconds. So "read" includes the
wait for a fetch, the wait behind the previous transaction, and the computing. "commit" includes the answers of the
broker, the end of the transaction, and the fetch of the reader.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.log import EVENTS
from tests.benchmarks.open_loop import Probes
from tests.benchmarks.report import Grid, Spread
from tests.benchmarks.worker import WorkerProcess

SEND, ACCEPT, READ, COMMIT = STAGES = (
    "send: due to sent",
    "accept: sent to acknowledged",
    "read: acknowledged to written by the lane",
    "commit: written to readable",
)
_SUMS = ("commit_seconds", "think_seconds", "batch_records")
_LINE = re.compile(r'^perennial_(\w+)_(sum|count)\{topic="' + re.escape(EVENTS) + r'"\} (\S+)$', re.MULTILINE)


class LaneSums(NamedTuple):
    """A reading of the fold's metrics: sums over its transactions so far.

    Attributes
    ----------
    at
        Time of the sums on the monotonic clock, seconds.
    transactions, batches
        Number of transactions, and of those that complete a batch.
    commit_s, think_s
        Time of all commits, and of computing all batches, seconds.
    records
        Number of records in all batches.
    """

    at: float
    transactions: float
    batches: float
    commit_s: float
    think_s: float
    records: float

    @classmethod
    async def read_after(cls, seconds: float, worker: WorkerProcess) -> LaneSums:
        """Return the sums of a fold up to the moment after this time."""
        await asyncio.sleep(seconds)
        return await asyncio.to_thread(cls._read, worker)

    @classmethod
    def _read(cls, worker: WorkerProcess) -> LaneSums:
        asked = "&".join(f"name[]=perennial_{name}_{kind}" for name in _SUMS for kind in ("sum", "count"))
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics?{asked}", timeout=30) as answer:
            return cls.parse(answer.read().decode(), time.monotonic())

    @classmethod
    def parse(cls, text: str, at: float) -> LaneSums:
        """Return the sums in the text of a metrics page; those that it lacks are 0."""
        found = {(name, kind): float(number) for name, kind, number in _LINE.findall(text)}
        return cls(
            at,
            found.get(("commit_seconds", "count"), 0.0),
            found.get(("batch_records", "count"), 0.0),
            found.get(("commit_seconds", "sum"), 0.0),
            found.get(("think_seconds", "sum"), 0.0),
            found.get(("batch_records", "sum"), 0.0),
        )

    def since(self, before: LaneSums) -> dict[str, float]:
        """Return the means between two moments."""
        transactions = max(self.transactions - before.transactions, 1.0)
        batches = max(self.batches - before.batches, 1.0)
        return {
            "transactions/s": (self.transactions - before.transactions) / (self.at - before.at),
            "records per batch": (self.records - before.records) / batches,
            "compute, ms": (self.think_s - before.think_s) / batches * 1e3,
            "commit, ms": (self.commit_s - before.commit_s) / transactions * 1e3,
        }


def stages_of(probes: Probes, from_: float) -> dict[str, list[float]]:
    """Return the durations of each stage, milliseconds, ascending, for probes that were due since ``from_``.

    The stages of one probe add up to the time from its due time to its readable message. Probes of which a moment is
    unknown do not count.

    Examples
    --------
    >>> stages_of(Probes(due={"a": 1.0}, sent={"a": 1.5}, accepted={"a": 2.0}, written={"a": 4.0}, read={"a": 8.0}), 0)
    ... # doctest: +NORMALIZE_WHITESPACE
    {'send: due to sent': [500.0], 'accept: sent to acknowledged': [500.0],
     'read: acknowledged to written by the lane': [2000.0], 'commit: written to readable': [4000.0]}
    """
    moments = (probes.due, probes.sent, probes.accepted, probes.written, probes.read)
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for name, due in probes.due.items():
        if due < from_ or not all(name in known for known in moments):
            continue
        for stage, before, after in zip(STAGES, moments, moments[1:], strict=False):
            found[stage].append((after[name] - before[name]) * 1e3)
    return {stage: sorted(durations) for stage, durations in found.items()}


def summary(
    runs: Sequence[tuple[Mapping[str, Sequence[float]], Mapping[str, float]]], percentile: Any
) -> dict[str, dict[str, Any]]:
    """Return mean, p50 and p99 of each stage, and the lanes' figures, over several runs.

    Parameters
    ----------
    runs
        For each run the durations of each stage, ascending, and the figures of the lanes.
    percentile
        Returns a percentile of ascending values.
    """
    stages = {
        stage: {
            "mean": Spread.of(sum(run[stage]) / len(run[stage]) for run, _ in runs),
            "p50": Spread.of(percentile(run[stage], 50) for run, _ in runs),
            "p99": Spread.of(percentile(run[stage], 99) for run, _ in runs),
        }
        for stage in STAGES
    }
    return {"stages": stages, "lanes": {name: Spread.of(lanes[name] for _, lanes in runs) for name in runs[0][1]}}


def tables(loads: Mapping[str, Any]) -> list[Grid]:
    """Return the tables of stages and of lanes; none for results that were measured without them."""
    if not all("stages" in result for result in loads.values()):
        return []
    rows = [
        (
            stage,
            *(
                " / ".join(
                    f"{Spread.read(result['stages'][stage][figure]).median:.1f}" for figure in ("mean", "p50", "p99")
                )
                for result in loads.values()
            ),
        )
        for stage in STAGES
    ]
    names = next(iter(loads.values()))["lanes"]
    lanes = [(name, *(Spread.read(result["lanes"][name]).show(".1f") for result in loads.values())) for name in names]
    return [
        Grid("Stages of the same times: mean / p50 / p99, ms", ("", *loads), rows),
        Grid("The fold's transactions meanwhile", ("", *loads), lanes),
    ]
