"""All benchmarks one after the other, each in a separate process. Together they take 37 minutes on two idle cores."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from models.errors import PerennialError
from tests.benchmarks import guard, table
from tests.benchmarks.broker import Kind
from tests.benchmarks.load_choice import Workload
from tests.benchmarks.report import RESULTS, busy
from tests.benchmarks.scaling import CURVES
from tests.support.paths import ROOT


class Incomplete(PerennialError):
    """Some benchmarks failed; their output is above."""


class Choice(NamedTuple):
    """Choice of broker, load and steps.

    Attributes
    ----------
    kind
        Kind of broker.
    load
        Name of the load.
    only
        Names of steps; if empty, all steps run.
    """

    kind: Kind
    load: Workload = Workload.VISITS
    only: Sequence[str] = ()


class BenchStep(NamedTuple):
    """One benchmark.

    Attributes
    ----------
    name
        Name of its file.
    minutes
        Approximate duration on two idle cores, minutes.
    words
        Options; ``{kind}`` is replaced by the broker, and ``{load}`` by the load.
    command
        Name of its command; the same as ``name`` if empty.
    """

    name: str
    minutes: float
    words: str
    command: str = ""


STEPS = (
    BenchStep("engine", 5.1, "--broker {kind} --load {load} --events 3000000 --runs 3"),
    BenchStep("pipeline", 7.8, "--broker {kind} --load {load} --events 150000 --runs 3"),
    BenchStep("latency", 8.5, "--broker {kind} --load {load} --seconds 10 --runs 3"),
    BenchStep("memory", 1.5, "--broker {kind} --users 100000,1000000"),
    BenchStep("restart", 3.0, "--broker {kind} --users 100000,1000000 --runs 3"),
    BenchStep("scaling", 3.2, "--broker {kind} --load {load} --events 60000 --runs 2 --curves " + ",".join(CURVES)),
    BenchStep("segments", 0.7, "--load {load} --events 50000 --runs 3 --curves segments", "scaling"),
    BenchStep("profile", 0.9, "--load {load}"),
    BenchStep("idle", 1.9, "--broker embedded --seconds 15 --runs 3"),
)
GUARD_MINUTES = 0.7
CALM = 0.1


def measure(chosen: Choice, *, folder: Path | None, commit: bool) -> None:
    """Run the steps, and show the resulting table.

    Parameters
    ----------
    chosen
        Broker, load and steps.
    folder
        Folder for the JSON.
    commit
        Whether to keep the JSON as committed figures, with the guard's ratio, and to rewrite the documents' tables.

    Raises
    ------
    Incomplete
        Some steps failed, but the JSON of the others was written. Or ``commit`` was requested on the embedded broker,
        or for a load that is in no document.
    """
    kind, load, only = chosen
    if commit and kind != "kafka":
        raise Incomplete("the documents show figures of Apache Kafka: --commit needs --broker kafka")
    if commit and load not in table.FOLDERS:
        raise Incomplete(f"the documents show no figures of {load}: --commit needs --load {' or '.join(table.FOLDERS)}")
    console = Console(stderr=True, highlight=False)
    folder = folder or (table.FOLDERS[load] if commit else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    guards: list[Kind] = ["kafka", "embedded"] if commit else [kind]
    steps = [step for step in STEPS if not only or step.name in only]
    words, folds = (" --commit", guard.COMMITTED_OF) if commit else ("", 1)
    steps += [BenchStep("guard", GUARD_MINUTES * folds, f"--broker {one} --load {load}{words}") for one in guards]
    if (others := busy()) and others > CALM:
        console.print(f"[bold]others use {others:.0%} of the cores[/bold]: the figures will be worse, and will say so")
    failed, began = [], time.monotonic()
    ahead = sum(step.minutes for step in steps)
    for number, step in enumerate(steps):
        passed = (time.monotonic() - began) / 60
        console.print(
            f"[bold]{number + 1} of {len(steps)}: {step.name}[/bold], about {step.minutes:g} min; "
            f"{passed:.0f} min passed, about {ahead:.0f} to go"
        )
        ahead -= step.minutes
        place = RESULTS if step.name == "guard" else folder  # the guard writes its committed ratio itself
        output = ("--output", str(place / f"{step.name}.json"))
        if _run(step.command or step.name, *shlex.split(step.words.format(kind=kind, load=load)), *output):
            failed.append(step.name)
    console.print(f"{(time.monotonic() - began) / 60:.1f} min; the JSON is in {folder}")
    print(table.summary(table.read(folder)))  # on standard output, for pipes
    if commit and not failed:
        for path in table.write():
            console.print(f"{path.relative_to(ROOT)} was rewritten")
    if failed:
        raise Incomplete(f"failed: {', '.join(failed)}")


def _run(*words: str) -> int:
    command = [sys.executable, "-m", "tests.benchmarks", *words]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()  # the benchmark then ends its broker and workers
            raise
