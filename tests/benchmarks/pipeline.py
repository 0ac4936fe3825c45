"""One worker on the full pipeline: ``perennial worker --role fold`` as a user starts it.

It decodes, folds, scores with both models, takes examples, decides on messages by the rules of the shop's preset, and
commits state, outputs and position in transactions (on Apache Kafka). The figure is read off its metrics, which count
what is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.customer.features import FEATURES
from models.engage.configuration import encode
from models.learning.churn_scorer import ChurnWeights
from models.learning.naming import AXES
from models.learning.publication import Publication
from models.learning.segment_scorer import SegmentCentres
from models.log import Clock, encode_control
from stream import configuration, presets, settings
from stream.connection import Connection
from tests.brokers import free_ports

_FOLDED = re.compile(r"^perennial_events_folded_total\{.*\} (\S+)$", re.MULTILINE)
_CPU = re.compile(r"^process_cpu_seconds_total (\S+)$", re.MULTILINE)
CLUSTERS = 5
LOOK_EVERY_S = 0.05


class Look(NamedTuple):
    """What the worker's metrics say at one moment.

    Attributes
    ----------
    at
        Seconds of this process's clock.
    folded
        Events committed so far.
    cpu
        Seconds of CPU that the worker has used so far.
    """

    at: float
    folded: float
    cpu: float


def log_of(load: Iterable[tuple[bytes, bytes]], folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """Put before the load what a log in use begins with: its clock, rules, and a version of each model."""
    presets.write("shop", folder)
    rules = encode(configuration.configuration(settings.load(folder / "perennial.yaml", environment={})))
    several = len(FEATURES)
    churn = ChurnWeights(
        features=FEATURES, mean=(0.5,) * several, std=(1.0,) * several, weights=(0.05,) * several, intercept=-2.0
    )
    axes = tuple(FEATURES.index(axis) for axis in AXES if axis in FEATURES)
    segments = SegmentCentres(
        features=FEATURES,
        axes=axes,
        mean=(0.5,) * len(axes),
        std=(1.0,) * len(axes),
        centres=tuple((0.3 * cluster - 0.6,) * len(axes) for cluster in range(CLUSTERS)),
        names=tuple(f"segment {cluster}" for cluster in range(CLUSTERS)),
    )
    versions = {
        "configuration": rules,
        "churn": msgspec.json.encode(churn),
        "segments": msgspec.json.encode(segments),
    }
    first = [encode_control(Clock("feeder"))]
    first += [Publication(1, content).broadcast(name) for name, content in versions.items()]
    return chain(first, load)


def fold_all(
    connection: Connection, partitions: int, events: int, folder: Path, patience_s: float
) -> tuple[float, float]:
    """Start a worker on a filled log; returns the events that it commits in a second, and in a second of its CPU.

    Parameters
    ----------
    connection, partitions
        The log.
    events
        How many are in it.
    folder
        For the worker's files.
    patience_s
        Seconds until it must be done.
    """
    metrics, lookups = free_ports(2)
    given = {
        "KAFKA__SERVERS": connection.servers,
        "KAFKA__PREFIX": connection.prefix,
        "KAFKA__EMBEDDED": "false" if connection.transactions else "true",
        "KAFKA__PARTITIONS": str(partitions),
        "METRICS__FOLD": str(metrics),
        "WORKER__PORT": str(lookups),
        "FOLDER": str(folder / "data"),
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "worker", "--role", "fold"],
            env={**os.environ, **{f"PERENNIAL_{name}": value for name, value in given.items()}},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            return _watch(process, metrics, events, time.monotonic() + patience_s, folder / "worker.log")
        finally:
            process.terminate()
            process.wait(timeout=30)


def _watch(process: subprocess.Popen[bytes], port: int, events: int, deadline: float, log: Path) -> tuple[float, float]:
    """From the first look that saw something to the one that saw everything."""
    began: Look | None = None
    while True:
        look = _look(port)
        if began is None and look.folded > 0:
            began = look
        if look.folded >= events:
            assert began is not None
            done = look.folded - began.folded
            if not done:
                raise RuntimeError("all was folded before the first look: take more --events")
            return done / (look.at - began.at), done / (look.cpu - began.cpu)
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"the worker folded {look.folded:,.0f} of {events:,} events:\n{tail}")
        time.sleep(LOOK_EVERY_S)


def _look(port: int) -> Look:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except urllib.error.URLError:
        return Look(0.0, 0.0, 0.0)  # it does not listen yet
    cpu = _CPU.search(text)
    folded = sum(float(number) for number in _FOLDED.findall(text))
    return Look(time.perf_counter(), folded, float(cpu[1]) if cpu else 0.0)
