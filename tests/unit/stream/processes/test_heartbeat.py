"""A child tells how it is, and its silence is noticed: with real pipes and processes."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream.processes import exits
from stream.processes import heartbeat as beats
from stream.processes.child import Child
from stream.processes.heartbeat import VARIABLE, Beats
from stream.processes.supervisor import Backoff, Program, Supervisor
from tests.support.processes import await_gone, await_true

QUICK = Backoff(first=0.01, factor=1.0, longest=0.01, healthy_after=60)

TELLING = textwrap.dedent("""
    import os, sys, time
    from stream.processes.heartbeat import Beats
    beats = Beats.from_environment()
    for number in range(int(sys.argv[1])):
        beats.send({"number": number})
    print(os.getpid(), flush=True)
    time.sleep(600)
""")


def telling(times: int, log: Path, silent_s: float) -> Program:
    return Program("fold", [sys.executable, "-c", TELLING, str(times)], log=log, silent_s=silent_s)


def test_the_newest_report_is_known_as_long_as_the_child_lives(tmp_path: Path) -> None:
    with Supervisor([telling(3, tmp_path / "log", 600)], backoff=QUICK) as supervisor:
        await_true(lambda: (supervisor.statuses()[0].report or {}).get("number") == 2, 30)
        silence_s = supervisor.statuses()[0].silence_s

    assert silence_s is not None
    assert supervisor.statuses()[0].report is None


def test_a_child_that_falls_silent_is_killed_and_started_again(tmp_path: Path) -> None:
    ends: list[tuple[str, int]] = []
    words: list[Mapping[str, Any]] = []
    log = tmp_path / "log"
    supervisor = Supervisor(
        [telling(1, log, 0.2)],
        backoff=QUICK,
        on_end=lambda name, code: ends.append((name, code)),
        on_last_words=words.append,
    )
    with supervisor:
        await_true(lambda: bool(ends and words), 60)
        status = supervisor.statuses()[0]

    assert ends[0] == ("fold", exits.STALLED)
    assert words[0] == {"number": 0}
    assert status.last_end == "no sign of life"
    for pid in log.read_text().split():
        await_gone(int(pid))


def test_a_child_that_never_says_a_word_is_given_more_time_and_then_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "STARTING_S", 0.5)
    with Supervisor([telling(0, tmp_path / "log", 0.1)], backoff=QUICK) as supervisor:
        await_true(lambda: supervisor.statuses()[0].restarts >= 1, 60)

        assert supervisor.statuses()[0].last_end == "no sign of life"


def test_what_a_supervisor_does_not_read_is_left_out_and_never_waited_for() -> None:
    read_end, write_end = os.pipe()
    beat = Beats(write_end)
    for number in range(5_000):
        beat.send({"number": number, "much": "x" * 100})
    content = os.read(read_end, 1 << 20)
    while len(content) < 5_000 * 100:
        os.set_blocking(read_end, False)
        beat.send({"last": True})
        try:
            content += os.read(read_end, 1 << 20)
        except BlockingIOError:
            break
        if content.endswith(b'{"last":true}\n'):
            break
    os.close(read_end)

    lines = content.split(b"\n")
    assert lines[0].startswith(b'{"number":0,')
    assert lines[-2:] == [b'{"last":true}', b""], "what was cut is completed before the next one begins"
    beat.send({"nobody": "listens"})
    beat.send({"nobody": "listens"})
    os.close(write_end)


def test_a_guarded_child_has_the_pipe_too() -> None:
    read_end, write_end = os.pipe()
    script = "import os; os.write(int(os.environ['PIPE']), b'hello')"
    child = Child([sys.executable, "-c", script], env={"PIPE": str(write_end)}, pass_fds=[write_end], guarded=True)
    os.close(write_end)

    assert os.read(read_end, 100) == b"hello"
    assert child.wait(30) == 0
    os.close(read_end)


def test_a_process_without_a_supervisor_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert Beats.from_environment() is None
