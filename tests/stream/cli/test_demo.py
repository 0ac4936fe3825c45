"""The demo as it is called: real processes, every figure there, nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from stream.supervisor import perennial
from tests.stream.cli.test_replay import await_process, descendants, is_fold

pytestmark = pytest.mark.slow

KEYS = {
    "events": (), "events_per_second": (), "segments": (), "triggers": (), "messages": (), "not_sent": (),
    "churn": ("auc", "recency_auc", "oracle_auc", "auc_low", "auc_high", "before_first_version"),
    "recommend": ("recall_at_10", "popularity_recall_at_10"),
    "latency_ms": ("p50", "p99"),
}  # fmt: skip


def started(*more: str) -> subprocess.Popen[str]:
    argv = perennial("demo", "--seed", "9", "--shoppers", "300", "--days", "62", *more)
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def all_gone(pids: set[int], within_s: float = 20.0) -> bool:
    """Whether none of these processes is there any more."""
    deadline = time.monotonic() + within_s
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # others' children cannot be waited for
    return True


def test_every_figure_is_there_and_nothing_is_left_running() -> None:
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
    assert summary["shoppers"] >= 290
    assert summary["simulated_days"] >= 60
    assert summary["latency_ms"]["answered"] == summary["latency_ms"]["sent"]
    assert sum(summary["segments"].values()) <= summary["shoppers"]
    assert all_gone(children)


def test_ctrl_c_in_the_middle_stops_everything() -> None:
    process = started()
    await_process(process.pid, is_fold, not_one_of=set())
    children = set(descendants(process.pid))
    assert children

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert all_gone(children)
