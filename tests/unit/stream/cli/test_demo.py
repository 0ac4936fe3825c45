"""The demo with real processes measures every figure and leaves nothing running."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream.cli.demo_run import DemoOptions, commands
from stream.cli.output import invoked
from stream.demo.tally import Tally
from stream.installation.commands import perennial
from tests.unit.stream.cli.test_replay import await_process, descendants, is_fold

KEYS = {
    "events": (), "events_per_second": (), "segments": (), "triggers": (), "messages": (), "not_sent": (),
    "churn": ("auc", "recency_auc", "oracle_auc", "auc_low", "auc_high", "before_first_version"),
    "recommend": ("recall_at_10", "popularity_recall_at_10"),
    "latency_ms": ("p50", "p99"),
}  # fmt: skip


def started(*more: str) -> subprocess.Popen[str]:
    argv = perennial("demo", "--seed", "9", "--shoppers", "200", "--days", "62", *more)
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def all_gone(pids: set[int], within_s: float = 20.0) -> bool:
    """Return whether all of these processes have ended in time."""
    deadline = time.monotonic() + within_s
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # only a parent can wait for its child
    return True


@pytest.mark.slow
def test_every_figure_is_measured_and_nothing_is_left_running() -> None:
    process = started("--json")
    await_process(process.pid, is_fold, not_one_of=set())
    children = set(descendants(process.pid))
    output, errors = process.communicate(timeout=240)

    assert process.returncode == 0, errors
    summary: dict[str, Any] = json.loads(output)
    for name, within in KEYS.items():
        assert summary[name], name
        for inner in within:
            assert summary[name][inner] is not None, f"{name}.{inner}"
    assert summary["shoppers"] >= 190
    assert summary["simulated_days"] >= 60
    assert summary["latency_ms"]["answered"] == summary["latency_ms"]["sent"]
    assert summary["logins"]["known"] >= summary["logins"]["merged"] > 10
    assert summary["logins"]["example"]["visitor"].startswith("anonymous:visitor-")
    assert sum(summary["segments"].values()) <= summary["shoppers"]
    assert all_gone(children)


def test_the_suggested_commands_can_be_copied_and_name_a_user_of_this_run() -> None:
    tally = Tally(users={b"shopper-0007", b"shopper-0003"})
    file = Path("/tmp/a folder/perennial.yaml")
    options = DemoOptions(9, 300, 62, 0.2, keeps_running=True, prints_json=False, again=["--seed", "9"])

    kept = [shlex.split(command) for command in commands(tally, file, options)]
    (ended,) = commands(tally, file, replace(options, keeps_running=False))

    begin = shlex.split(invoked())
    assert [command[len(begin)] for command in kept] == ["user", "recommend", "preview"]
    assert all(command[-2:] == ["-c", str(file)] for command in kept)
    assert all("shopper-0003" in command for command in kept)
    assert ended == f"{invoked()} demo --seed 9 --keep"


@pytest.mark.slow
def test_ctrl_c_stops_every_process_of_a_running_demo() -> None:
    process = started()
    await_process(process.pid, is_fold, not_one_of=set())
    children = set(descendants(process.pid))
    assert children

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert all_gone(children)
