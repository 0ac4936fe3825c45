"""Runs one program of this folder, and reads its answer."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.peers.environments import python_of
from tests.support.paths import ROOT

ANSWER_WITHIN_S = 900.0


class Figure(NamedTuple):
    """What a program did.

    Attributes
    ----------
    rate
        Records a second.
    cpu_us
        Microseconds of its CPU a record, all threads.
    records
        How many it handled.
    """

    rate: float
    cpu_us: float
    records: int


OUTPUTS = ("interactions", "triggers", "profiles")
"""Topics that a program of the pipeline writes, below its own name."""


def topics_of(topic: str, names: Iterable[str]) -> list[str]:
    """Every topic that programs reading ``topic`` write; they must be there first."""
    return [f"{topic}.{name}.{output}" for name in names for output in OUTPUTS]


class NoAnswer(RuntimeError):
    """A program ended, or stayed silent; its last words are in the message."""


def run_program(peer: str, job: str, servers: str, topic: str, own: str, partitions: int, expected: int) -> Figure:
    """Start a program on a filled topic, wait for its answer, and end it.

    Parameters
    ----------
    peer, job
        Which program.
    servers, topic, partitions
        Where to read.
    own
        Stands, behind the topic's name, in the names of its own topics and group.
    expected
        How many records it shall handle.

    Raises
    ------
    NoAnswer
        It gave none.
    """
    with tempfile.TemporaryDirectory(prefix=f"bench-{peer}-") as name:
        folder = Path(name)
        answer, log = folder / "answer.json", folder / "program.log"
        arguments = [servers, topic, f"{topic}.{own}", str(partitions), str(expected), str(answer), str(folder)]
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
                    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                    raise NoAnswer(f"{peer} gave no figure for the job {job!r} (exit code {process.poll()}):\n{tail}")
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
