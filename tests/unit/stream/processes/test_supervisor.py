"""A supervisor starts its programs again, and leaves none of them running at its end. The tests use real processes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.processes.child import ProgramMissing
from stream.processes.programs import Backoff, Program
from stream.processes.supervisor import Misconfigured, Supervisor, run_until_stopped
from tests.support.processes import await_gone, await_true, is_running

QUICK = Backoff(first=0.01, factor=1.0, longest=0.01, healthy_after=60)


def shell(name: str, script: str, *, stop_within: float = 10.0, log: Path | None = None) -> Program:
    return Program(name, ["sh", "-c", script], log=log, stop_within=stop_within)


def pid_in(file: Path) -> Callable[[], bool]:
    return lambda: file.exists() and file.read_text().strip() != ""


def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with Supervisor([shell("fold", f"echo $$ >> {pids}; exec sleep 600")], backoff=QUICK) as supervisor:
        await_true(pid_in(pids))
        os.kill(int(pids.read_text()), signal.SIGKILL)
        await_true(lambda: len(pids.read_text().split()) == 2)

        status = supervisor.statuses()[0]
    assert (status.state, status.restarts, status.last_end) == ("running", 1, "killed by SIGKILL")
    for pid in pids.read_text().split():
        await_gone(int(pid))


def test_the_end_of_a_program_is_reported_with_its_exit_code(tmp_path: Path) -> None:
    ends: list[tuple[str, int]] = []
    script = f"test -e {tmp_path}/once && exec sleep 600; touch {tmp_path}/once; exit 7"
    supervisor = Supervisor(
        [shell("learn", script)], backoff=QUICK, on_end=lambda name, code: ends.append((name, code))
    )
    with supervisor:
        await_true(lambda: bool(ends))

    assert ends == [("learn", 7)]


def test_a_program_that_dies_does_not_affect_the_others(tmp_path: Path) -> None:
    pids = {name: tmp_path / name for name in ("fold", "deliver")}
    programs = [shell(name, f"echo $$ >> {file}; exec sleep 600") for name, file in pids.items()]
    with Supervisor(programs, backoff=QUICK):
        for file in pids.values():
            await_true(pid_in(file))
        os.kill(int(pids["deliver"].read_text()), signal.SIGKILL)
        await_true(lambda: len(pids["deliver"].read_text().split()) == 2)

        assert is_running(int(pids["fold"].read_text()))


def test_a_crash_loop_is_backed_off_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    waits = Backoff(first=0.02, factor=2.0, longest=0.2, healthy_after=60)
    with (
        caplog.at_level(logging.WARNING, logger="stream.processes.keeper"),
        Supervisor([shell("fold", "exit 3")], backoff=waits) as supervisor,
    ):
        await_true(lambda: supervisor.statuses()[0].restarts >= 6)

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "(exit code 3), 5 times in a row; starting it again in 0.2 s" in errors[0]


def test_delays_grow_to_a_limit() -> None:
    assert [Backoff().delay(ends) for ends in (1, 2, 3, 100)] == [0.1, 0.2, 0.4, 30.0]


def test_a_run_that_lasted_long_enough_resets_the_count() -> None:
    lasting = Backoff(first=0.01, factor=100.0, longest=60, healthy_after=0.0)
    with Supervisor([shell("fold", "exit 3")], backoff=lasting) as supervisor:
        await_true(lambda: supervisor.statuses()[0].restarts >= 3)


def test_stop_ends_a_program_that_obeys_and_kills_one_that_does_not(tmp_path: Path) -> None:
    polite = f"trap 'echo bye > {tmp_path}/word; exit 0' TERM; touch {tmp_path}/polite; while :; do sleep 0.02; done"
    deaf = f"trap '' TERM; echo $$ > {tmp_path}/deaf; while :; do sleep 0.02; done"
    supervisor = Supervisor([shell("polite", polite), shell("deaf", deaf, stop_within=0.3)]).start()
    await_true((tmp_path / "polite").exists)
    await_true(pid_in(tmp_path / "deaf"))

    supervisor.stop()

    assert (tmp_path / "word").read_text() == "bye\n"
    assert not is_running(int((tmp_path / "deaf").read_text()))
    assert [status.state for status in supervisor.statuses()] == ["ended", "ended"]


def test_stop_does_not_wait_for_the_end_of_a_back_off() -> None:
    with Supervisor([shell("fold", "exit 3")], backoff=Backoff(first=15, longest=15)) as supervisor:
        await_true(lambda: supervisor.statuses()[0].state == "waiting")
        began = time.monotonic()

    assert time.monotonic() - began < 5


def test_a_missing_program_is_named_and_the_programs_before_it_are_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    first = shell("fold", f"echo $$ > {pids}; exec sleep 600")
    with pytest.raises(ProgramMissing, match=r"no-such-program"):
        Supervisor([first, Program("learn", ["no-such-program"])]).start()
    if pids.exists() and pids.read_text():
        await_gone(int(pids.read_text()))


def test_a_mistake_in_the_settings_ends_everything_instead_of_a_crash_loop(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    programs = [
        shell("fold", f"echo $$ > {pids}; exec sleep 600"),
        shell("learn", f"while ! test -s {pids}; do sleep 0.02; done; exit 2"),
    ]

    with pytest.raises(Misconfigured, match=r"learn refused to start"):
        run_until_stopped(Supervisor(programs))

    await_gone(int(pids.read_text()))


def test_the_output_of_a_program_goes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "fold.log"
    with Supervisor([shell("fold", "echo hello; exec sleep 600", log=log)]):
        await_true(pid_in(log))

    assert log.read_text() == "hello\n"


_SUPERVISOR = """
    import sys
    from stream.processes.programs import Program
    from stream.processes.supervisor import Supervisor, run_until_stopped
    run_until_stopped(Supervisor([Program("child", sys.argv[1:])]))
"""


def _nested(folder: Path) -> subprocess.Popen[bytes]:
    """Start a supervisor that runs a second supervisor, which runs a program; each writes its process id."""
    script = textwrap.dedent(_SUPERVISOR)
    leaf = f"echo $PPID > {folder}/inner; echo $$ > {folder}/leaf; exec sleep 600"
    return subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, "-c", script, "sh", "-c", leaf], start_new_session=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_no_child_or_grandchild_outlives_a_supervisor(tmp_path: Path, number: int) -> None:
    outer = _nested(tmp_path)
    await_true(pid_in(tmp_path / "leaf"))
    inner, leaf = (int((tmp_path / name).read_text()) for name in ("inner", "leaf"))
    assert is_running(inner)
    assert is_running(leaf)

    outer.send_signal(number)
    code = outer.wait(30)

    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    await_gone(inner)
    await_gone(leaf)


def test_a_killed_inner_supervisor_ends_with_its_program_and_is_started_again(tmp_path: Path) -> None:
    outer = _nested(tmp_path)
    await_true(pid_in(tmp_path / "leaf"))
    inner, leaf = (int((tmp_path / name).read_text()) for name in ("inner", "leaf"))

    os.kill(inner, signal.SIGKILL)

    await_gone(leaf)
    await_true(lambda: pid_in(tmp_path / "leaf")() and int((tmp_path / "leaf").read_text()) != leaf)
    outer.terminate()
    assert outer.wait(30) == 0
    await_gone(int((tmp_path / "leaf").read_text()))
