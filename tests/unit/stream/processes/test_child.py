"""No child process outlives its parent. Either the kernel or a guard process ensures this."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream.processes.child import Child, ProgramMissing, exit_reason
from tests.support.processes import await_gone, await_true

both_ways = pytest.mark.parametrize("guarded", [False, True], ids=["kernel", "guard"])


@both_ways
def test_the_exit_code_and_the_output_are_those_of_the_program(tmp_path: Path, guarded: bool) -> None:
    with (tmp_path / "log").open("wb") as output:
        child = Child(["sh", "-c", "echo $WORD; exit 5"], env={"WORD": "hello"}, output=output, guarded=guarded)

    assert child.wait(10) == 5
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ProgramMissing, match=r"no-such-program-here"):
        Child(["no-such-program-here"])


@both_ways
def test_stop_asks_before_it_kills(tmp_path: Path, guarded: bool) -> None:
    script = f"trap 'echo bye > {tmp_path}/word; exit 0' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    child = Child(["sh", "-c", script], guarded=guarded)
    await_true((tmp_path / "up").exists)

    assert child.stop(within=10) == 0
    assert (tmp_path / "word").read_text() == "bye\n"


@both_ways
def test_stop_kills_a_program_that_ignores_sigterm(tmp_path: Path, guarded: bool) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; touch {tmp_path}/up; while :; do sleep 0.05; done"
    child = Child(["sh", "-c", script], guarded=guarded)
    await_true((tmp_path / "up").exists)

    assert child.stop(within=0.2) == -signal.SIGKILL
    await_gone(int((tmp_path / "pid").read_text()))


@both_ways
def test_a_child_ends_with_its_killed_parent(tmp_path: Path, guarded: bool) -> None:
    script = (
        "import sys, time; from stream.processes.child import Child\n"
        f"Child(['sh', '-c', 'echo $$ > {tmp_path}/pid; touch {tmp_path}/up; exec sleep 600'], guarded={guarded})\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        await_true((tmp_path / "up").exists)
        parent.kill()

    await_gone(int((tmp_path / "pid").read_text()))


def test_a_child_survives_the_thread_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, threading; from stream.processes.child import Child\n"
        "made = []\n"
        "thread = threading.Thread(target=lambda: made.append(Child(['sleep', '600'])))\n"
        "thread.start(); thread.join()\n"
        "import subprocess\n"
        "try:\n"
        "    print('ended', made[0].wait(0.5))\n"
        "except subprocess.TimeoutExpired:\n"
        "    print('running')\n"
        "made[0].kill()"
    )

    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "running\n"
    )


def test_exit_reasons_name_the_signal() -> None:
    assert exit_reason(-15) == "killed by SIGTERM"
    assert exit_reason(-200) == "killed by signal 200"
