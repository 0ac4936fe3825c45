"""Fails when the pipeline has become dearer: its CPU an event beside that of a bare aiokafka loop, in one run.

A ratio and no time, of CPU and not of the clock: machines differ, and others work on them. Both sides read the same
events from the same broker, in turns; each turn of the pipeline stands beside the bare loops before and after it, and
the median of the turns counts.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from models.errors import PerennialError
from stream.connection import Connection
from stream.topics import create
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker, Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import Load
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.running import run_program
from tests.benchmarks.report import Report
from tests.benchmarks.worker import Worker
from tests.brokers import create_topics

COMMITTED = Path(__file__).parent / "figures" / "guard.json"
WORST = 0.8
"""The ratio may fall to so much of the committed one."""
EVENTS = 24_000
TURNS = 3
BARE_READS_TIMES = 12
"""The bare loop reads the events so often: it is done with them in a fraction of a second."""
PARTITIONS = 8
PATIENCE_S = 120.0
_OPEN = re.compile(rb"\bevents-\d+: open at ")


class Slower(PerennialError):
    """The pipeline's ratio to the bare loop has fallen: find out why, or commit the new figure with its reason."""


class NothingCommitted(PerennialError):
    """There is no figure to hold: commit one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    Attributes
    ----------
    bare_us, pipeline_us
        Microseconds of CPU an event.
    """

    bare_us: float
    pipeline_us: float

    @property
    def ratio(self) -> float:
        """The pipeline's speed as a share of the bare loop's."""
        return self.bare_us / self.pipeline_us


def ratio_of(bares: list[float], pipelines: list[float]) -> tuple[float, list[Turn]]:
    """Median over the turns; each of the pipeline's stands between two of the bare loop's.

    Examples
    --------
    >>> ratio_of([1.0, 3.0, 1.0], [100.0, 50.0])[0]
    0.03
    """
    between = [(before + after) / 2 for before, after in pairwise(bares)]
    turns = [Turn(bare, pipeline) for bare, pipeline in zip(between, pipelines, strict=True)]
    return statistics.median(turn.ratio for turn in turns), turns


def compare(kind: Kind, ratio: float, committed: Path = COMMITTED) -> float:
    """Share of the committed ratio that is left.

    Raises
    ------
    Slower
        It is less than :data:`WORST`.
    NothingCommitted
        No ratio was committed for that broker.
    """
    figures = json.loads(committed.read_text())
    if kind not in figures:
        raise NothingCommitted(
            f"{committed.name} has no ratio for {kind}: perennial bench guard --broker {kind} --commit"
        )
    figure = float(figures[kind]["ratio"])
    share = ratio / figure
    if share < WORST:
        raise Slower(
            f"one event of the pipeline costs {1 / ratio:.1f} times what it costs a bare aiokafka loop to read and "
            f"decode it; {1 / figure:.1f} times is committed in {committed.name}: {1 - share:.0%} slower, and "
            f"{1 - WORST:.0%} are allowed"
        )
    return share


def measure(kind: Kind, *, commit: bool, output: Path | None) -> None:
    """Take the ratio, and hold it against the committed one, or commit it."""
    report = Report("guard", output, events=EVENTS, turns=TURNS)
    load = list(Load(events=EVENTS, users=20_000))
    with a_broker(kind) as broker:
        bare_log = broker.connection()
        create_topics(bare_log, {"events": PARTITIONS})
        records = asyncio.run(feed(bare_log, bare_log.topic("events"), PARTITIONS, load, BARE_READS_TIMES))
        bares, pipelines = [_bare(bare_log, 0, records)], []
        for turn in range(TURNS):
            pipelines.append(_pipeline(broker, load))
            bares.append(_bare(bare_log, turn + 1, records))
            report.say(f"pipeline {pipelines[-1]:.1f} us CPU an event, bare loop {bares[-1]:.2f}")
    ratio, turns = ratio_of(bares, pipelines)
    report.table(
        f"CPU an event, us; {broker.name}",
        ("turn", "bare aiokafka loop", "pipeline", "ratio"),
        [
            (str(number + 1), f"{turn.bare_us:.2f}", f"{turn.pipeline_us:.1f}", f"1 : {1 / turn.ratio:.1f}")
            for number, turn in enumerate(turns)
        ],
    )
    report.put(broker=broker.name, ratio=ratio, taken=[asdict(turn) for turn in turns])
    report.write()
    if commit:
        figures = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
        figures[kind] = {"ratio": round(ratio, 5), "turns": [[t.bare_us, t.pipeline_us] for t in turns]}
        COMMITTED.write_text(json.dumps(figures, indent=2) + "\n")
        report.say(f"committed: {ratio:.5f}")
    else:
        report.say(f"{compare(kind, ratio):.0%} of the committed ratio; {WORST:.0%} are asked for")


def _bare(connection: Connection, turn: int, records: int) -> float:
    topic = connection.topic("events")
    return run_program("aiokafka", "engine", connection.servers, topic, f"bare{turn}", PARTITIONS, records).cpu_us


def _pipeline(broker: Broker, load: list[tuple[bytes, bytes]]) -> float:
    """CPU an event of a fold that is there already when the events come, its share of waiting included."""
    connection = broker.connection()
    create(connection, PARTITIONS)
    topic = connection.topic("events")
    asyncio.run(feed(connection, topic, PARTITIONS, log_of(())))
    with (
        tempfile.TemporaryDirectory(prefix="bench-guard-") as name,
        worker.running(("fold",), connection, PARTITIONS, Path(name)) as (fold,),
    ):
        await_open(fold, PARTITIONS)
        before = fold.cpu_s
        asyncio.run(feed(connection, topic, PARTITIONS, load))
        deadline = time.monotonic() + PATIENCE_S
        while fold.look().folded < EVENTS:
            fold.check("folding")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not folded within {PATIENCE_S} s")
            time.sleep(0.2)
        return (fold.cpu_s - before) / EVENTS * 1e6


def await_open(fold: Worker, partitions: int) -> None:
    """Return when every lane of the log has its state."""
    deadline = time.monotonic() + PATIENCE_S
    while len(_OPEN.findall(fold.log.read_bytes())) < partitions:
        fold.check("taking its partitions over")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not open within {PATIENCE_S} s")
        time.sleep(0.05)
