"""``perennial replay --embedded`` as a process: its totals are right even if its child processes are killed."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stream.cli import run
from stream.cluster.topics import EMBEDDED_PARTITIONS
from stream.feed.online_retail import COLUMNS
from tests.support.paths import ONLINE_RETAIL
from tests.support.processes import await_true

ORDERS, LINES = 2_000, 10
CUSTOMERS = 300
REAL_LINES = 40_000
"""Number of lines of the real file that are replayed here."""
WORK = 1_500
"""Number of records that a fold reads before something is killed."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decimal]:
    """A table in the format of Online Retail, and its total revenue."""
    path = tmp_path_factory.mktemp("recording") / "retail.csv"
    revenue, rows = Decimal(0), [",".join(COLUMNS)]
    for number in range(ORDERS):
        customer = "" if number % 10 == 9 else str(10_000 + number % CUSTOMERS)
        returned = number % 17 == 16
        date = (datetime(2011, 1, 1, tzinfo=UTC) + timedelta(minutes=number * 13)).strftime("%Y-%m-%d %H:%M:%S")
        for line in range(LINES):
            quantity, price = (-1 if returned else 1) * (line + 1), Decimal(number % 7) + Decimal("0.25")
            revenue += quantity * price
            invoice = f"C{number:06d}" if returned else f"{number:06d}"
            rows.append(f"{invoice},SKU{line},THING,{quantity},{date},{price},{customer},United Kingdom")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path, revenue


@contextmanager
def replaying(path: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-P", "-m", "stream.cli", "replay", str(path), "--embedded", "--json", *more]
    # Tests that were started in the background may ignore Ctrl-C. Their child processes would inherit this.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def descendants(pid: int) -> dict[int, str]:
    """Return the command lines of all descendants of a process, by process id."""
    found: dict[int, str] = {}
    for thread in _listed(Path(f"/proc/{pid}/task")):
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            try:
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found |= {child: line, **descendants(child)}
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def await_process(root: int, is_it: Callable[[str], bool], *, not_one_of: set[int], within_s: float = 60) -> int:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        for pid, line in descendants(root).items():
            if pid not in not_one_of and is_it(line):
                return pid
        time.sleep(0.05)  # nothing reports a new process
    raise AssertionError(f"no such process within {within_s} s: {descendants(root)}")


def await_work(fold: int, within_s: float = 60) -> None:
    """Return when a fold has read :data:`WORK` records since it opened all of its lanes."""
    environment = Path(f"/proc/{fold}/environ").read_bytes().decode().split("\0")
    port = next(int(line.partition("=")[2]) for line in environment if line.startswith("PERENNIAL_WORKER__PORT="))
    begin: list[int] = []

    def has_worked() -> bool:
        position = position_of(port)
        if position is not None:
            begin.append(position)
        return bool(begin) and begin[-1] - begin[0] >= WORK

    await_true(has_worked, within_s)


def position_of(port: int) -> int | None:
    """Return the sum of the positions of a fold's lanes; ``None`` until all of them are open."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            lanes = [lane for lane in json.load(answer)["lanes"] if lane["topic"] == "events"]
    except OSError:
        return None
    is_open = len(lanes) == EMBEDDED_PARTITIONS and all(lane["open"] for lane in lanes)
    return sum(lane["position"] for lane in lanes) if is_open else None


def is_fold(line: str) -> bool:
    return "--role fold" in line


def is_supervisor(line: str) -> bool:
    return line.rstrip().endswith("stream.cli worker")


def report(process: subprocess.Popen[str], within_s: float) -> dict[str, Any]:
    out, err = process.communicate(timeout=within_s)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def totals(revenue: Decimal) -> dict[str, Any]:
    return {
        "lines": ORDERS * LINES,
        "folded": ORDERS * LINES,
        "rejected": 0,
        "customers": len({number % CUSTOMERS for number in range(ORDERS) if number % 10 != 9}),
        "revenue": float(revenue),
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_kills_of_the_fold_and_of_its_supervisor_change_nothing_and_leave_no_orphan(
    recording: tuple[Path, Decimal],
) -> None:
    path, revenue = recording
    # A day of the recording takes about 2.5 s, so the replay still runs when a process is killed.
    with replaying(path, "--speed", "35000") as process:
        started: set[int] = set()
        folds: set[int] = set()
        for victim in (is_fold, is_supervisor, is_fold):
            # A process is killed each time a new fold has worked for a while.
            fold = await_process(process.pid, is_fold, not_one_of=folds)
            await_work(fold)
            folds.add(fold)
            started |= set(descendants(process.pid))
            os.kill(await_process(process.pid, victim, not_one_of=set()), signal.SIGKILL)
        await_process(process.pid, is_fold, not_one_of=folds)
        started |= set(descendants(process.pid))
        found = report(process, within_s=150)

    assert {name: found[name] for name in totals(revenue)} == totals(revenue)
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_the_revenue_after_a_replay_equals_that_of_the_file(recording: tuple[Path, Decimal]) -> None:
    path, revenue = recording
    with replaying(path) as process:
        found = report(process, within_s=150)

    assert {name: found[name] for name in totals(revenue)} == totals(revenue)


@pytest.mark.slow(longest=True)
@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason=f"{ONLINE_RETAIL} is not there")
def test_real_lines_end_in_the_totals_of_the_file(tmp_path: Path) -> None:
    """The whole file is replayed by ``make test-kafka``, see tests/integration/test_replay_kafka.py."""
    path = tmp_path / "retail.csv"
    with gzip.open(ONLINE_RETAIL, "rt", encoding="utf-8", newline="") as whole:
        path.write_text("".join(itertools.islice(whole, REAL_LINES + 1)), encoding="utf-8")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    revenue = sum((int(row["Quantity"]) * Decimal(row["UnitPrice"]) for row in rows), Decimal(0))
    with replaying(path) as process:
        found = report(process, within_s=250)

    customers = len({row["CustomerID"] for row in rows} - {""})
    assert {name: found[name] for name in ("lines", "folded", "rejected", "customers", "revenue")} == {
        "lines": REAL_LINES,
        "folded": REAL_LINES,
        "rejected": 0,
        "customers": customers,
        "revenue": float(revenue),
    }
    assert customers > 900


def test_a_missing_file_is_reported_in_one_line_with_exit_code_two(tmp_path: Path) -> None:
    with replaying(tmp_path / "none.csv") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert "cannot be read" in err


def test_an_empty_file_is_reported_in_one_line_with_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    with replaying(tmp_path / "none.jsonl") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (2, "")
    assert err.endswith("none.jsonl holds no records\n")


def test_a_report_that_cannot_be_written_is_refused_before_the_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"user":"u1","type":"click","item":"a","at":1}\n')

    assert run(["replay", str(file), "--embedded", "--rejected", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"perennial: --rejected {tmp_path} cannot be written: Is a directory\n"


@pytest.mark.slow
def test_a_file_without_a_valid_line_is_explained_and_its_temporary_folder_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"type":"click","user":"u1","at":1700000000}\nnonsense\n')
    with replaying(file) as process:
        out, err = process.communicate(timeout=120)

    assert process.returncode == 2
    assert (json.loads(out)["folded"], json.loads(out)["rejected"]) == (0, 2)
    assert "2 of 2 lines were rejected" in err
    assert "line 1: " in err
    assert "at: found 1700000000" in err
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_ctrl_c_ends_every_process_that_replay_started(recording: tuple[Path, Decimal]) -> None:
    path, _ = recording
    with replaying(path, "--speed", "10000") as process:
        await_process(process.pid, is_fold, not_one_of=set())
        started = set(descendants(process.pid))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode not in (0, -signal.SIGKILL)
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
