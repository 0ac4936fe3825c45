"""Run one program of this folder, and read its answer."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.peers.environments import LINES_KEPT, python_of
from tests.support.paths import ROOT

ANSWER_WITHIN_S = 900.0


class Figure(NamedTuple):
    """Result of a program.

    Attributes
    ----------
    rate
        Records per second.
    cpu_us
        CPU time per record, all threads, microseconds.
    records
        Number of records handled.
    """

    rate: float
    cpu_us: float
    records: int


OUTPUTS = ("interactions", "triggers", "profiles")
"""Topics that a program of the pipeline writes; each name begins with the prefix of the program."""


def topics_of(topic: str, names: Iterable[str]) -> list[str]:
    """Return every topic that the programs reading ``topic`` write; they must exist before a program starts."""
    return [f"{topic}.{name}.{output}" for name in names for output in OUTPUTS]


class NoAnswer(RuntimeError):
    """A program ended or gave no answer; the message holds the last lines of its log."""


class LogSource(NamedTuple):
    """Topic that a program reads.

    Attributes
    ----------
    servers
        Addresses of the broker.
    topic
        Physical name of the topic.
    partitions
        Number of its partitions.
    """

    servers: str
    topic: str
    partitions: int


def run_program(peer: str, job: str, source: LogSource, run: int, expected: int) -> Figure:
    """Start a program on a filled topic, wait for its answer, and end it.

    Parameters
    ----------
    peer, job
        Name of the program.
    source
        Topic to read.
    run
        Number of the run. Together with peer and topic, it makes the names of the program's topics and group unique.
    expected
        Number of records to handle.

    Raises
    ------
    NoAnswer
        The program gave no answer.
    """
    with tempfile.TemporaryDirectory(prefix=f"bench-{peer}-") as name:
        folder = Path(name)
        answer, log = folder / "answer.json", folder / "program.log"
        own = f"{source.topic}.{peer}{run}"
        arguments = [source.servers, source.topic, own, str(source.partitions), str(expected), str(answer), str(folder)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python_of(peer), "-m", f"tests.benchmarks.peers.{peer}_{job}", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + ANSWER_WITHIN_S
            while not answer.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    tail = log.read_text(errors="replace").splitlines()[-LINES_KEPT:]
                    raise NoAnswer("\n".join((f"no figure for the job {job!r}, exit code {process.poll()}", *tail)))
                time.sleep(0.05)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        measured = json.loads(answer.read_text())
    records = measured["records"]
    return Figure(records / measured["seconds"], measured["cpu"] / records * 1e6, records)
