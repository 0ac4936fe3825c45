"""CPU time of an installation while no event comes: all processes of ``perennial up``, each in per cent of a core.

A wake-up that finds nothing to do costs a little CPU time and, on a laptop, much of the battery. Voluntary context
switches count these wake-ups. Unlike CPU time, they hardly depend on what else the machine does.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from stream.processes.child import Child
from tests.benchmarks.broker import Kind, a_broker, cpu_seconds
from tests.benchmarks.report import BenchReport, Grid, Spread
from tests.support.brokers import free_ports
from tests.support.paths import ROOT

EMBEDDED = "embedded broker (Tansu: in memory, no transactions)"
READY_WITHIN_S = 120.0
"""How long the installation may take to start and to become quiet, seconds."""
SAMPLE_S = 2.0
"""Time between two samples while the installation is becoming quiet, seconds."""
QUIET_SAMPLES = 3
"""Number of consecutive samples without less work than before that show a quiet installation."""
QUIET_SHARE = 0.9
"""A sample shows that an installation is still becoming quiet if it has less than this share of the least so far."""
BROKER = "broker"
ORDER = (BROKER, "relay", "fold", "deliver", "learn", "retrainer", "collector", "supervisor", "up")
"""Parts in the order of the table."""
PORTS = ("METRICS__FOLD", "METRICS__DELIVER", "METRICS__LEARN", "METRICS__RETRAINER", "METRICS__COLLECTOR")


class IdlePlan(NamedTuple):
    """Parameters of the measurement.

    Attributes
    ----------
    seconds
        Length of one measurement.
    runs
        Number of measurements, each of a new installation.
    against
        Another checkout, measured in turn with this one; ``None`` for none.
    """

    seconds: float
    runs: int
    against: Path | None = None


class Usage(NamedTuple):
    """Work of one process so far.

    Attributes
    ----------
    cpu_s
        CPU time, user and system, of all threads, seconds.
    switches
        Voluntary context switches of all threads that still run.
    """

    cpu_s: float
    switches: int


class NotQuiet(RuntimeError):
    """An installation that did not start, or did not become quiet."""


def part_of(command: Sequence[str]) -> str:
    """Return the part of an installation that a command line runs.

    Examples
    --------
    >>> part_of(["python", "-P", "-m", "stream.cli", "worker", "--role", "fold"])
    'fold'
    >>> part_of(["python", "-P", "-m", "stream.cli", "worker"])
    'supervisor'
    >>> part_of(["/usr/bin/tansu", "broker", "--cluster-id", "x"])
    'broker'
    >>> part_of(["python", "-P", "-m", "stream.installation.fetch_relay", "7", "9092"])
    'relay'
    """
    if "--role" in command:
        return command[command.index("--role") + 1]
    if any(word.endswith("fetch_relay") for word in command):
        return "relay"
    known = ("retrainer", "collector", "up", BROKER)
    return next((word for word in command if word in known), "supervisor")


def descendants(root: int) -> dict[int, str]:
    """Return the part of each process below ``root``, and of ``root`` itself, by process id."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has ended
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        found[pid] = part_of(command)
        waiting += children.get(pid, [])
    return found


def usage(pid: int) -> Usage:
    """Return the work of a process so far."""
    switches = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:
            continue  # the thread has ended
        switches += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return Usage(cpu_seconds(pid), switches)


def await_quiet(parts: Mapping[int, str], deadline: float) -> None:
    """Return when the processes do no less from one sample to the next; what they still do, they do forever."""
    least, calm = float("inf"), 0
    before = {pid: usage(pid) for pid in parts}
    while calm < QUIET_SAMPLES:
        if time.monotonic() > deadline:
            raise NotQuiet("the installation does less and less, so it is still starting")
        time.sleep(SAMPLE_S)  # the length of a sample
        after = {pid: usage(pid) for pid in parts}
        done = sum(after[pid].switches - before[pid].switches for pid in parts)
        calm = 0 if done < least * QUIET_SHARE else calm + 1
        least, before = min(least, done), after


def window(parts: Mapping[int, str], seconds: float) -> dict[str, dict[str, float]]:
    """Return per cent of a core, and wake-ups a second, of each part during ``seconds``."""
    began = time.monotonic()
    before = {pid: usage(pid) for pid in parts}
    time.sleep(seconds)  # the length of the measurement
    after = {pid: usage(pid) for pid in parts}
    lasted = time.monotonic() - began
    found: dict[str, dict[str, float]] = {}
    for pid, part in parts.items():
        one = found.setdefault(part, {"percent": 0.0, "wakeups": 0.0})
        one["percent"] += (after[pid].cpu_s - before[pid].cpu_s) / lasted * 100
        one["wakeups"] += (after[pid].switches - before[pid].switches) / lasted
    return found


@contextmanager
def installation(root: Path, folder: Path, servers: str | None) -> Iterator[int]:
    """Run ``perennial up`` of a checkout until the end of the block; yield its process id when it is ready.

    Parameters
    ----------
    root
        Checkout whose code runs.
    folder
        Empty folder for the settings and the data.
    servers
        Address of a Kafka; ``None`` starts the embedded broker.
    """
    *metrics, worker, lookups, http, broker = free_ports(len(PORTS) + 4)
    env = {f"PERENNIAL_{name}": str(port) for name, port in zip(PORTS, metrics, strict=True)}
    env |= {"PERENNIAL_METRICS__WORKER": str(worker), "PERENNIAL_WORKER__PORT": str(lookups)}
    env |= {
        "PERENNIAL_HTTP__PORT": str(http),
        "PYTHONPATH": str(root),
        "PERENNIAL_FOLDER": str(folder / "data"),
    }
    words = ["up"]
    if servers is None:
        words += ["--broker-port", str(broker)]
    else:
        env |= {"PERENNIAL_KAFKA__SERVERS": servers, "PERENNIAL_KAFKA__PREFIX": f"{folder.name}."}
    log = folder / "up.log"
    with log.open("wb") as output:
        child = Child(
            [sys.executable, "-P", "-c", _IN_FOLDER, str(folder), *words],
            env=env,
            output=output,
        )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while b"ready; try" not in log.read_bytes():
            if child.poll() is not None or time.monotonic() > deadline:
                raise NotQuiet(f"perennial up is not ready: {log.read_text(errors='replace')[-2_000:]}")
            time.sleep(0.1)  # a line in a file sends no notification
        yield child.pid
    finally:
        child.stop(within=30.0)


_IN_FOLDER = "import os, sys; os.chdir(sys.argv.pop(1)); from stream.cli import main; main()"


def measure(kind: Kind, plan: IdlePlan, *, as_json: bool, output: Path | None) -> None:
    """Start installations, measure each one while it is quiet, and report as tables, or as JSON."""
    report = BenchReport("idle", output, seconds=plan.seconds)
    sides = {"perennial": ROOT} | ({} if plan.against is None else {"against": plan.against.resolve()})
    taken: dict[str, list[dict[str, dict[str, float]]]] = {side: [] for side in sides}
    name = ""
    for run in range(plan.runs):
        for side, root in sides.items():
            name, found = _run(kind, root, plan.seconds)
            taken[side].append(found)
            report.say(f"run {run + 1} of {plan.runs}, {side}: {_total(found, 'percent'):.1f}% of a core")
    report.put(broker=name, **{side: summary(windows) for side, windows in taken.items()})
    if as_json:
        report.print_json()
    else:
        report.show(tables(report.content))
    report.write()


def _run(kind: Kind, root: Path, seconds: float) -> tuple[str, dict[str, dict[str, float]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-idle-")))
        kafka = stack.enter_context(a_broker(kind)) if kind == "kafka" else None
        up = stack.enter_context(installation(root, folder, None if kafka is None else kafka.address))
        deadline = time.monotonic() + READY_WITHIN_S
        parts = await_parts(up, deadline)
        if kafka is not None:
            parts[kafka.pid] = BROKER
        await_quiet(parts, deadline)
        name = EMBEDDED if kafka is None else kafka.name
        return name, window(parts, seconds)


def await_parts(up: int, deadline: float) -> dict[int, str]:
    """Return the processes of an installation once all of its parts have one."""
    wanted = {"fold", "deliver", "learn", "retrainer", "collector", "supervisor", "up"}
    while not wanted <= set((parts := descendants(up)).values()):
        if time.monotonic() > deadline:
            raise NotQuiet(f"only these parts have started: {sorted(set(parts.values()))}")
        time.sleep(0.1)  # a process that starts sends no notification
    return parts


def _total(found: Mapping[str, Mapping[str, float]], figure: str, but: Sequence[str] = ()) -> float:
    return sum(one[figure] for part, one in found.items() if part not in but)


def summary(windows: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Return the spread of each part's figures, of their sum, and of their sum without the broker.

    Examples
    --------
    >>> runs = [{"broker": {"percent": 2.0, "wakeups": 9.0}, "fold": {"percent": 1.0, "wakeups": 3.0}}]
    >>> found = summary(runs)
    >>> found["total"]["percent"].median, found["without_broker"]["wakeups"].median
    (3.0, 3.0)
    """
    parts = [part for part in ORDER if any(part in one for one in windows)]
    figures = ("percent", "wakeups")
    return {
        "parts": {
            part: {name: Spread.of(one.get(part, {}).get(name, 0.0) for one in windows) for name in figures}
            for part in parts
        },
        "total": {name: Spread.of(_total(one, name) for one in windows) for name in figures},
        "without_broker": {name: Spread.of(_total(one, name, (BROKER,)) for one in windows) for name in figures},
    }


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Return one table of each measured checkout: per cent of a core, and wake-ups, of each part."""
    return [
        Grid(
            f"{title}, with no event; {content['seconds']:g} s per run; {content['broker']}",
            ("", "per cent of a core", "wake-ups a second"),
            [
                (name, Spread.read(one["percent"]).show(".1f"), Spread.read(one["wakeups"]).show())
                for name, one in (
                    *content[side]["parts"].items(),
                    ("all", content[side]["total"]),
                    ("all but the broker", content[side]["without_broker"]),
                )
            ],
        )
        for side, title in (("perennial", "Everything of `perennial up`"), ("against", "The other checkout"))
        if side in content
    ]
