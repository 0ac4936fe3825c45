"""A child reports its state, and its silence is noticed. The tests use real pipes and processes."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from stream.processes import exits, heartbeat
from stream.processes.child import Child
from stream.processes.heartbeat import VARIABLE, HeartbeatWriter
from stream.processes.programs import Backoff, Program
from stream.processes.supervisor import Supervisor
from stream.processes.worker_report import WorkerReport
from tests.support.processes import await_gone, await_true

QUICK = Backoff(first=0.01, factor=1.0, longest=0.01, healthy_after=60)

REPORTING = textwrap.dedent("""
    import os, sys, time
    from stream.processes.heartbeat import HeartbeatWriter
    from stream.processes.worker_report import WorkerReport
    writer = HeartbeatWriter.from_environment()
    for number in range(int(sys.argv[1])):
        writer.send(WorkerReport(ready=True, healthy=True, member=str(number)))
    print(os.getpid(), flush=True)
    time.sleep(600)
""")


def numbered(number: int) -> WorkerReport:
    """Return the report that a reporting child sends with this number."""
    return WorkerReport(ready=True, healthy=True, member=str(number))


def reporting(times: int, log: Path, silent_s: float) -> Program:
    return Program("fold", [sys.executable, "-c", REPORTING, str(times)], log=log, silent_s=silent_s)


def test_the_newest_report_is_known_while_the_child_lives(tmp_path: Path) -> None:
    with Supervisor([reporting(3, tmp_path / "log", 600)], backoff=QUICK) as supervisor:
        await_true(lambda: supervisor.statuses()[0].report == numbered(2), 30)
        silence_s = supervisor.statuses()[0].silence_s

    assert silence_s is not None
    assert supervisor.statuses()[0].report is None


def test_a_child_that_falls_silent_is_killed_and_started_again(tmp_path: Path) -> None:
    ends: list[tuple[str, int]] = []
    reports: list[WorkerReport] = []
    log = tmp_path / "log"
    supervisor = Supervisor(
        [reporting(1, log, 0.2)],
        backoff=QUICK,
        on_end=lambda name, code: ends.append((name, code)),
        on_last_report=reports.append,
    )
    with supervisor:
        await_true(lambda: bool(ends and reports), 60)
        status = supervisor.statuses()[0]

    assert ends[0] == ("fold", exits.STALLED)
    assert reports[0] == numbered(0)
    assert status.last_end == "no heartbeat"
    for pid in log.read_text().split():
        await_gone(int(pid))


def test_a_child_without_a_first_report_gets_more_time_and_is_then_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "STARTING_S", 0.5)
    with Supervisor([reporting(0, tmp_path / "log", 0.1)], backoff=QUICK) as supervisor:
        await_true(lambda: supervisor.statuses()[0].restarts >= 1, 60)

        assert supervisor.statuses()[0].last_end == "no heartbeat"


def test_reports_that_the_supervisor_does_not_read_are_left_out_without_waiting() -> None:
    last = WorkerReport(ready=True, healthy=True, group="last")
    read_end, write_end = os.pipe()
    writer = HeartbeatWriter(write_end)
    for number in range(5_000):
        writer.send(numbered(number))
    content = os.read(read_end, 1 << 20)
    while len(content) < 5_000 * 100:
        os.set_blocking(read_end, False)
        writer.send(last)
        try:
            content += os.read(read_end, 1 << 20)
        except BlockingIOError:
            break
        if content.endswith(msgspec.json.encode(last) + b"\n"):
            break
    os.close(read_end)

    lines = content.split(b"\n")
    assert msgspec.json.decode(lines[0], type=WorkerReport) == numbered(0)
    assert lines[-2:] == [msgspec.json.encode(last), b""], "a cut report was not completed before the next one"
    writer.send(last)
    writer.send(last)
    os.close(write_end)


def test_a_guarded_child_inherits_the_pipe() -> None:
    read_end, write_end = os.pipe()
    script = "import os; os.write(int(os.environ['PIPE']), b'hello')"
    child = Child([sys.executable, "-c", script], env={"PIPE": str(write_end)}, pass_fds=[write_end], guarded=True)
    os.close(write_end)

    assert os.read(read_end, 100) == b"hello"
    assert child.wait(30) == 0
    os.close(read_end)


def test_a_process_without_a_supervisor_sends_no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert HeartbeatWriter.from_environment() is None
