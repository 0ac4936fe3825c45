"""Ordinary workers, ``perennial worker --role ...``, observed through metrics and ``/proc``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stream.cluster.connection import Connection
from tests.benchmarks.broker import cpu_seconds, resident_bytes
from tests.support.brokers import free_ports

_FOLDED = re.compile(r"^perennial_events_folded_total\{.*\} (\S+)$", re.MULTILINE)
_TIMERS = re.compile(r"^perennial_timers_fired_total\{.*\} (\S+)$", re.MULTILINE)
# Request only these two. All metrics would cost the worker 7 ms per request: 7% of a core at ten samples a second.
_ASKED = "name[]=perennial_events_folded_total&name[]=perennial_timers_fired_total"
SAMPLE_EVERY_S = 0.1
OPEN = re.compile(rb"\bevents-\d+: open at ")
"""Line that a fold logs for each partition of the log as soon as it has read the state."""


class MetricsSample(NamedTuple):
    """Metrics at one moment.

    Attributes
    ----------
    at
        Time on this process's clock, seconds.
    folded, timers
        Number of events and timers committed so far.
    cpu
        CPU time that the process has used so far, seconds.
    """

    at: float
    folded: float
    timers: float
    cpu: float


@dataclass
class WorkerProcess:
    """One process of one role.

    Attributes
    ----------
    role
        ``fold``, ``deliver`` or ``learn``.
    process
        The process.
    port
        Port of its metrics.
    log
        File with its output.
    """

    role: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def cpu_s(self) -> float:
        """CPU time so far, seconds."""
        return cpu_seconds(self.process.pid)

    @property
    def resident(self) -> int:
        """Resident memory now, bytes."""
        return resident_bytes(self.process.pid)

    @property
    def opened(self) -> bool:
        """Whether a fold has the state of a partition; from then on it reads the log of that partition."""
        return OPEN.search(self.log.read_bytes()) is not None

    def sample(self) -> MetricsSample:
        """Read the metrics; all are 0 until the process listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics?{_ASKED}", timeout=30) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return MetricsSample(time.perf_counter(), 0.0, 0.0, self.cpu_s)
        folded = sum(float(number) for number in _FOLDED.findall(text))
        timers = sum(float(number) for number in _TIMERS.findall(text))
        return MetricsSample(time.perf_counter(), folded, timers, self.cpu_s)

    def check(self, doing: str) -> None:
        """Raise an error with the last lines of the log if the process has ended."""
        if self.process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"the worker ended ({self.process.returncode}) while {doing}:\n{tail}")

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the process in the same way as a supervisor."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()


def environment(connection: Connection, partitions: int, folder: Path) -> dict[str, str]:
    """Return the settings of an installation as environment variables."""
    given = {
        "KAFKA__SERVERS": connection.servers,
        "KAFKA__PREFIX": connection.prefix,
        "KAFKA__EMBEDDED": "false" if connection.transactions else "true",
        "KAFKA__PARTITIONS": str(partitions),
        "FOLDER": str(folder / "data"),
    }
    return {f"PERENNIAL_{name}": value for name, value in given.items()}


def start(
    role: str, connection: Connection, partitions: int, folder: Path, more: Mapping[str, str] | None = None
) -> WorkerProcess:
    """Start a worker; its settings file, if any, is ``perennial.yaml`` in ``folder``."""
    metrics, lookups = free_ports(2)
    own = {f"PERENNIAL_METRICS__{role.upper()}": str(metrics), "PERENNIAL_WORKER__PORT": str(lookups)}
    log = folder / f"{role}-{metrics}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "worker", "--role", role],
            env={**os.environ, **environment(connection, partitions, folder), **own, **(more or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return WorkerProcess(role, process, metrics, log)


@contextmanager
def running(
    roles: Sequence[str], connection: Connection, partitions: int, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[list[WorkerProcess]]:
    """Run workers until the end of the block."""
    with ExitStack() as stack:
        workers = []
        for role in roles:
            worker = start(role, connection, partitions, folder, more)
            stack.callback(worker.stop)
            workers.append(worker)
        yield workers


@contextmanager
def supervised(connection: Connection, partitions: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``perennial worker`` with all roles under its supervisor until the end of the block."""
    *metrics, lookups = free_ports(4)
    own = {
        f"PERENNIAL_METRICS__{role}": str(port)
        for role, port in zip(("FOLD", "DELIVER", "LEARN"), metrics, strict=True)
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "worker"],
            env={
                **os.environ,
                **environment(connection, partitions, folder),
                **own,
                "PERENNIAL_WORKER__PORT": str(lookups),
            },
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class FoldCost(NamedTuple):
    """Cost of folding a log.

    Attributes
    ----------
    rate
        Committed events per second, of all folds together.
    cpu_us
        CPU time of the folds per event, microseconds.
    beside_us
        CPU time per event of the processes that run besides the folds, such as learners, microseconds.
    broker_us
        CPU time of the broker per event, microseconds.
    timers
        Number of timers fired per event.
    """

    rate: float
    cpu_us: float
    beside_us: float
    broker_us: float
    timers: float


def watch(
    workers: Sequence[WorkerProcess], events: int, broker_cpu_s: Callable[[], float], patience_s: float
) -> FoldCost:
    """Watch folds, from the moment when each has a partition until everything is folded.

    So the work of a single fold counts from its first record. If the watch began with the first commit, the figure
    would exclude all events of the first transactions.

    Parameters
    ----------
    workers
        Folds, and the processes that run besides them.
    events
        Number of events in the log.
    broker_cpu_s
        Returns the CPU time that the broker has used so far, seconds.
    patience_s
        How long folding may take, seconds.
    """
    folds = [worker for worker in workers if worker.role == "fold"]
    beside = [worker for worker in workers if worker.role != "fold"]
    deadline = time.monotonic() + patience_s

    def wait(doing: str, seconds: float) -> None:
        for worker in workers:
            worker.check(doing)
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {patience_s} s: {doing}")
        time.sleep(seconds)

    while not all(fold.opened for fold in folds):
        wait("taking partitions over", SAMPLE_EVERY_S / 10)
    at, folded, timers, cpu = (sum(part) for part in zip(*(fold.sample() for fold in folds), strict=True))
    began, before = at / len(folds), (sum(worker.cpu_s for worker in beside), broker_cpu_s())
    while True:
        samples = [fold.sample() for fold in folds]
        seen = sum(sample.folded for sample in samples)
        if seen >= events:
            break
        wait(f"folding ({seen:,.0f} of {events:,} events)", SAMPLE_EVERY_S)
    done = seen - folded
    if not done:
        raise RuntimeError("all events were folded before the first sample: use more events")
    micro = 1e6 / done
    return FoldCost(
        done / (max(sample.at for sample in samples) - began),
        (sum(sample.cpu for sample in samples) - cpu) * micro,
        (sum(worker.cpu_s for worker in beside) - before[0]) * micro,
        (broker_cpu_s() - before[1]) * micro,
        (sum(sample.timers for sample in samples) - timers) / done,
    )
