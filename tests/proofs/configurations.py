"""``python -m tests.proofs.configurations``: proof that no settings file and no template makes a command hang.

Each random case goes through ``perennial check --offline``: YAML, settings, rules, templates rendered for every kind of
user, findings. If a case needs more CPU time than the limit, its process is ended and the case counts as a hang. An
exception other than :class:`PerennialError` is a crash. Seed and number determine a case, so ``--seed 1 --case 17``
plays it again.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from models.errors import PerennialError
from stream.installation.check import findings
from stream.settings.loading import load
from tests.proofs import writing

MAX_CPU_S = 20.0
"""Maximum CPU time of one case, seconds."""
MAX_WALL_S = 600.0
"""Maximum wall time of one case, seconds. It ends a case that waits without using CPU time."""
RESULTS = Path(__file__).with_name("CONFIGURATIONS.md")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class ProofResult:
    """Results of all cases.

    Attributes
    ----------
    outcomes
        Count by ``accepted``, ``refused``, ``crashed``, ``hung``.
    slowest
        CPU milliseconds of the slowest case, and its number.
    trouble
        Number and description of every crash and hang.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    trouble: list[tuple[int, str]] = field(default_factory=list)


def generated(seed: int, number: int) -> writing.RandomInstallation:
    """Return the files of a case."""
    return writing.case(Random(f"{seed}:{number}"))


def play(case: writing.RandomInstallation, folder: Path) -> str:
    """Check an installation, and return ``accepted`` or ``refused``; any other error is raised."""
    templates = folder / "templates"
    for path in templates.glob("*/*.liquid") if templates.exists() else ():
        if str(path.relative_to(templates)) not in case.templates:
            path.unlink()
    for name, source in case.templates.items():
        file = templates / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.encode("utf-8", "surrogatepass"))
    (folder / "perennial.yaml").write_bytes(case.text.encode("utf-8", "surrogatepass"))
    try:
        found = list(findings(load(folder / "perennial.yaml", environment=case.environment), offline=True))
    except PerennialError:
        return "refused"
    return "refused" if any(finding.result == "failed" for finding in found) else "accepted"


def _work(pipe: Connection, seed: int, numbers: range, folder: Path, stuck: int | None) -> None:
    """Play cases in a separate process, and report each before and after it."""
    for number in numbers:
        case = generated(seed, number)
        pipe.send(("began", number, ""))
        while number == stuck:
            pass
        began = time.process_time()
        try:
            outcome, said = play(case, folder), ""
        except Exception:  # noqa: BLE001 - the proof searches for crashes
            outcome, said = "crashed", traceback.format_exc(limit=-4)
        pipe.send((outcome, number, f"{(time.process_time() - began) * 1000:.1f} {said}"))
    pipe.send(("over", 0, ""))


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    numbers: range
    playing: int = -1
    since_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def overdue(self) -> bool:
        """Whether the worker's current case takes too long."""
        if self.playing < 0:
            return False
        return _cpu_s(self.process) - self.cpu_s > MAX_CPU_S or time.monotonic() - self.since_s > MAX_WALL_S


def _cpu_s(process: BaseProcess) -> float:
    """Return the CPU time of a process so far, seconds."""
    try:
        after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S


class Proof:
    """Player of the cases of a seed in several processes; it ends every case that hangs.

    Parameters
    ----------
    seed, numbers
        Seed, and numbers of the cases.
    jobs
        Number of processes.
    stuck
        Number of a case that is replaced by an endless loop, to show that a hang is found.
    """

    def __init__(self, seed: int, numbers: range, jobs: int, stuck: int | None = None) -> None:
        self.result = ProofResult()
        self._seed = seed
        self._stuck = stuck
        self._began = time.monotonic()
        self._total = len(numbers)
        self._folder = Path(tempfile.mkdtemp(prefix="perennial-proof-", dir=_memory()))
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start(numbers[job::jobs]) for job in range(min(jobs, len(numbers)))]

    def run(self) -> ProofResult:
        """Play all cases."""
        told = time.monotonic()
        try:
            while self._workers:
                by_pipe = {worker.pipe: worker for worker in self._workers}
                for pipe in wait([*by_pipe], timeout=1.0):
                    assert isinstance(pipe, Connection)
                    self._receive(by_pipe[pipe])
                for worker in [worker for worker in self._workers if worker.overdue]:
                    self._end(worker, "hung", "it was ended")
                if time.monotonic() - told > 15:
                    told = time.monotonic()
                    self._print_progress()
        finally:
            for worker in self._workers:
                worker.process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
        return self.result

    def _start(self, numbers: range) -> _Worker:
        ours, theirs = self._context.Pipe(duplex=False)
        folder = self._folder / f"from-{numbers.start}"
        process = self._context.Process(
            target=_work, args=(theirs, self._seed, numbers, folder, self._stuck), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, numbers)

    def _receive(self, worker: _Worker) -> None:
        try:
            what, number, said = worker.pipe.recv()
        except EOFError:
            self._end(worker, "crashed", "its process ended")
            return
        if what == "over":
            worker.process.join()
            self._workers.remove(worker)
        elif what == "began":
            worker.playing, worker.since_s, worker.cpu_s = number, time.monotonic(), _cpu_s(worker.process)
        else:
            took, _, trace = said.partition(" ")
            worker.playing = -1
            self.result.outcomes[what] += 1
            self.result.slowest = max(self.result.slowest, (float(took), number))
            if what == "crashed":
                self.result.trouble.append((number, trace))

    def _end(self, worker: _Worker, outcome: str, why: str) -> None:
        """End the process of a worker, and continue after its case with another worker."""
        worker.process.kill()
        worker.process.join()
        self._workers.remove(worker)
        number = max(worker.playing, worker.numbers.start)
        self.result.outcomes[outcome] += 1
        self.result.trouble.append((number, why))
        rest = worker.numbers[worker.numbers.index(number) + 1 :]
        if rest:
            self._workers.append(self._start(rest))

    def _print_progress(self) -> None:
        done = self.result.outcomes.total()
        rate = done / (time.monotonic() - self._began)
        said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.result.outcomes.items()))
        print(f"{done:,} of {self._total:,} ({rate:.0f}/s): {said}", flush=True)


def _memory() -> str | None:
    """Return a folder in memory, if there is one, because the files of a case are written and read only once."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def commit_name() -> str:
    """Return the commit of the code, and whether the code has changes."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--", "models", "stream") else ""
    return git("rev-parse", "--short", "HEAD") + changed


def report(result: ProofResult, seed: int, count: int) -> str:
    """Format the result as a page."""
    slowest, number = result.slowest
    lines = [
        "# No settings file makes a command hang",
        "",
        "Random settings files with random templates. Each case is checked as by `perennial check --offline`, with a",
        f"limit of {MAX_CPU_S:g} s of CPU time. Written by `python -m tests.proofs.configurations`; the options",
        f"`--seed {seed} --case N` repeat one case.",
        "",
        "| what | |",
        "|---|---|",
        f"| cases | {count:,} |",
        f"| seed | {seed} |",
        f"| commit | {commit_name()} |",
        *(f"| {outcome} | {result.outcomes[outcome]:,} |" for outcome in ("accepted", "refused", "crashed", "hung")),
        f"| slowest case | {slowest:,.0f} ms of CPU time (case {number}) |",
        "",
    ]
    if result.trouble:
        lines += ["## Crashes and hangs", ""]
        lines += [f"- case {number}: `{' '.join(said.split())[-300:]}`" for number, said in sorted(result.trouble)]
        lines.append("")
    return "\n".join(lines)


def main(
    count: Annotated[int, typer.Option(min=1, help="Number of cases.")] = 100_000,
    seed: Annotated[int | None, typer.Option(help="Seed of the cases; a new one by default.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = os.cpu_count() or 1,
    case: Annotated[int | None, typer.Option(help="Show and play only the case with this number.")] = None,
    write: Annotated[bool, typer.Option(help="Write the result to CONFIGURATIONS.md.")] = True,
) -> None:
    """Search for a settings file that makes a command hang or crash; the exit code is 1 if one is found."""
    chosen = int(time.time()) if seed is None else seed
    if case is not None:
        files = generated(chosen, case)
        print(files.text)
        for path, source in files.templates.items():
            print(f"--- {path}\n{source}")
        print(play(files, Path(tempfile.mkdtemp(prefix="perennial-proof-"))))
        return
    result = Proof(chosen, range(count), jobs).run()
    page = report(result, chosen, count)
    if write:
        RESULTS.write_text(page, encoding="utf-8")
    print(page)
    if result.trouble:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
