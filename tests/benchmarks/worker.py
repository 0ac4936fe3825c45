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

from stream.connection import Connection
from tests.benchmarks.broker import cpu_seconds, resident_bytes
from tests.brokers import free_ports

_FOLDED = re.compile(r"^perennial_events_folded_total\{.*\} (\S+)$", re.MULTILINE)
_TIMERS = re.compile(r"^perennial_timers_fired_total\{.*\} (\S+)$", re.MULTILINE)
# these alone: all of its metrics would cost the worker 7 ms each time, a tenth of its CPU at twenty looks a second
_ASKED = "name[]=perennial_events_folded_total&name[]=perennial_timers_fired_total"
LOOK_EVERY_S = 0.1


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

    def look(self) -> Look:
        """Ask its metrics; zeros while it does not listen yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics?{_ASKED}", timeout=30) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return Look(time.perf_counter(), 0.0, 0.0, 0.0)
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
    """Watch folds from the first look at which each had folded something to the one that saw everything.

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
    began: tuple[list[Look], float, float] | None = None
    while True:
        looks = [fold.look() for fold in folds]
        seen = sum(look.folded for look in looks)
        now = (looks, sum(worker.cpu_s for worker in beside), cpu_seconds(broker))
        if began is None and all(look.folded for look in looks):
            began = now
        if began is not None and seen >= events:
            done = seen - sum(look.folded for look in began[0])
            if not done:
                raise RuntimeError("all was folded before the first look: take more events")
            seconds = max(look.at for look in looks) - min(look.at for look in began[0])
            cpu = sum(look.cpu for look in looks) - sum(look.cpu for look in began[0])
            timers = sum(look.timers for look in looks) - sum(look.timers for look in began[0])
            micro = 1e6 / done
            return Folded(
                done / seconds, cpu * micro, (now[1] - began[1]) * micro, (now[2] - began[2]) * micro, timers / done
            )
        for worker in workers:
            worker.check(f"folding ({seen:,.0f} of {events:,} events)")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen:,.0f} of {events:,} events folded within {patience_s} s")
        time.sleep(LOOK_EVERY_S)
