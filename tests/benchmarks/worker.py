"""Workers of ours as a user starts them, ``perennial worker --role ...``, watched through metrics and ``/proc``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stream.cluster.connection import Connection
from tests.benchmarks.broker import cpu_seconds, resident_bytes
from tests.support.brokers import free_ports

_FOLDED = re.compile(r"^perennial_events_folded_total\{.*\} (\S+)$", re.MULTILINE)
_TIMERS = re.compile(r"^perennial_timers_fired_total\{.*\} (\S+)$", re.MULTILINE)
# these alone: all of its metrics would cost the worker 7 ms each time, a tenth of its CPU at twenty looks a second
_ASKED = "name[]=perennial_events_folded_total&name[]=perennial_timers_fired_total"
LOOK_EVERY_S = 0.1
OPEN = re.compile(rb"\bevents-\d+: open at ")
"""What a fold says of each partition of the log whose state it has."""


class Look(NamedTuple):
    """What the metrics say at one moment.

    Attributes
    ----------
    at
        Seconds of this process's clock.
    folded, timers
        Events and timers committed so far.
    cpu
        Seconds of CPU that the process has used so far.
    """

    at: float
    folded: float
    timers: float
    cpu: float


@dataclass
class Worker:
    """One process of one role.

    Attributes
    ----------
    role
        ``fold``, ``deliver`` or ``learn``.
    process
        It.
    port
        Of its metrics.
    log
        Its output.
    """

    role: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU so far."""
        return cpu_seconds(self.process.pid)

    @property
    def resident(self) -> int:
        """Bytes of memory now."""
        return resident_bytes(self.process.pid)

    @property
    def opened(self) -> bool:
        """Whether a fold has the state of a partition: it reads the log of that from then on."""
        return OPEN.search(self.log.read_bytes()) is not None

    def look(self) -> Look:
        """Ask its metrics; none are there while it does not listen yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics?{_ASKED}", timeout=30) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return Look(time.perf_counter(), 0.0, 0.0, self.cpu_s)
        folded = sum(float(number) for number in _FOLDED.findall(text))
        timers = sum(float(number) for number in _TIMERS.findall(text))
        return Look(time.perf_counter(), folded, timers, self.cpu_s)

    def check(self, doing: str) -> None:
        """Raise, with its last words, where it has ended."""
        if self.process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"the worker ended ({self.process.returncode}) while {doing}:\n{tail}")

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as a supervisor does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()


def environment(connection: Connection, partitions: int, folder: Path) -> dict[str, str]:
    """Settings of an installation, as environment variables."""
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
) -> Worker:
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
    return Worker(role, process, metrics, log)


@contextmanager
def running(
    roles: Sequence[str], connection: Connection, partitions: int, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[list[Worker]]:
    """Start workers, and end them."""
    with ExitStack() as stack:
        workers = []
        for role in roles:
            worker = start(role, connection, partitions, folder, more)
            stack.callback(worker.stop)
            workers.append(worker)
        yield workers


@contextmanager
def supervised(connection: Connection, partitions: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``perennial worker``, all roles under its supervisor, and end it."""
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


class Folded(NamedTuple):
    """What it took to fold a log.

    Attributes
    ----------
    rate
        Events a second, committed, of all folds together.
    cpu_us
        Microseconds of the folds' CPU an event.
    beside_us
        Microseconds of CPU an event of what ran beside them: learners.
    broker_us
        Of the broker.
    timers
        Timers fired for each event.
    """

    rate: float
    cpu_us: float
    beside_us: float
    broker_us: float
    timers: float


def watch(workers: Sequence[Worker], events: int, broker: int, patience_s: float) -> Folded:
    """Watch folds from when each has a partition until everything is folded.

    So a single fold's work counts from its first record; to begin with the first commit would leave out all that was
    folded for it and for those that come with it.

    Parameters
    ----------
    workers
        Folds, and what runs beside them.
    events
        How many are in the log.
    broker
        Its process id.
    patience_s
        Seconds until all must be folded.
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
        wait("taking partitions over", LOOK_EVERY_S / 10)
    at, folded, timers, cpu = (sum(part) for part in zip(*(fold.look() for fold in folds), strict=True))
    began, before = at / len(folds), (sum(worker.cpu_s for worker in beside), cpu_seconds(broker))
    while True:
        looks = [fold.look() for fold in folds]
        seen = sum(look.folded for look in looks)
        if seen >= events:
            break
        wait(f"folding ({seen:,.0f} of {events:,} events)", LOOK_EVERY_S)
    done = seen - folded
    if not done:
        raise RuntimeError("all was folded before the first look: take more events")
    micro = 1e6 / done
    return Folded(
        done / (max(look.at for look in looks) - began),
        (sum(look.cpu for look in looks) - cpu) * micro,
        (sum(worker.cpu_s for worker in beside) - before[0]) * micro,
        (cpu_seconds(broker) - before[1]) * micro,
        (sum(look.timers for look in looks) - timers) / done,
    )
