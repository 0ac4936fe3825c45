"""``perennial worker`` keeps its three roles running as real processes, and no role outlives the worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stream.cli.supervising import programs_of
from stream.cluster import topics
from stream.installation.commands import perennial
from stream.settings.loading import load
from tests.support.brokers import Cluster, free_ports
from tests.support.processes import await_gone, await_true, roles_below

PARTITIONS = 4


def start(embedded: Cluster, folder: Path, ports: Mapping[str, int], *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``perennial worker`` with its output in a file, and with free ports if none are given."""
    topics.create(embedded.connection, PARTITIONS)
    settings = {
        "PERENNIAL_KAFKA__SERVERS": embedded.connection.servers,
        "PERENNIAL_KAFKA__PREFIX": embedded.connection.prefix,
        "PERENNIAL_KAFKA__EMBEDDED": "true",
        "PERENNIAL_WORKER__PORT": "0",
        **{f"PERENNIAL_METRICS__{role}": "0" for role in ("FOLD", "DELIVER", "LEARN", "WORKER")},
        **{f"PERENNIAL_{name}": str(port) for name, port in ports.items()},
    }
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            perennial("worker", *arguments), env={**os.environ, **settings}, cwd=folder, stdout=log, stderr=log
        )


@pytest.fixture
def worker(embedded: Cluster, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with start(embedded, tmp_path, {}) as process:
        try:
            await_roles(process, tmp_path / "log", lambda roles: roles.keys() == {"fold", "deliver", "learn"})
            yield process
        finally:
            process.kill()


def await_roles(worker: subprocess.Popen[bytes], log: Path, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Wait until ``holds`` is true for the roles below a worker, and return them; show the worker's log otherwise."""
    found: dict[str, int] = {}

    def look() -> bool:
        found.clear()
        found.update(roles_below(worker.pid))
        return holds(found)

    try:
        await_true(look, within=60)
    except AssertionError as error:
        raise AssertionError(f"{found} run; the worker said:\n{log.read_text(errors='replace')}") from error
    return found


def test_a_role_that_is_killed_is_started_again(worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = roles_below(worker.pid)

    os.kill(before["deliver"], signal.SIGKILL)

    after = await_roles(
        worker,
        tmp_path / "log",
        lambda roles: roles.keys() == before.keys() and roles["deliver"] != before["deliver"],
    )
    assert (after["fold"], after["learn"]) == (before["fold"], before["learn"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_role_outlives_its_worker(worker: subprocess.Popen[bytes], number: int) -> None:
    before = roles_below(worker.pid)

    worker.send_signal(number)

    assert worker.wait(30) == (0 if number == signal.SIGTERM else -number)
    for pid in before.values():
        await_gone(pid)


def overview(port: int, path: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the HTTP status and the report of each process."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    except OSError:
        return 0, {}
    return status, {process["name"]: process for process in json.loads(body)["processes"]}


def test_several_folds_share_the_log_and_the_supervisor_reports_on_all(embedded: Cluster, tmp_path: Path) -> None:
    own, base = free_ports(2)
    reports: dict[str, dict[str, Any]] = {}

    def owned(name: str) -> set[int]:
        return {lane["partition"] for lane in reports[name]["lanes"] if lane["topic"] == "events"}

    def ready() -> bool:
        status, found = overview(own, "/ready")
        reports.clear()
        reports.update(found)
        return status == 200 and owned("fold") | owned("fold-2") == set(range(PARTITIONS)) and len(owned("fold")) == 2

    ports = {"METRICS__WORKER": own, "WORKER__PORT": base}
    with start(embedded, tmp_path, ports, "--processes", "2", "--learn", "0") as worker:
        try:
            await_true(ready, 90)
            assert reports.keys() == {"fold", "fold-2", "deliver"}
            assert reports["fold"]["lookups"] != reports["fold-2"]["lookups"]
            assert overview(own, "/health")[0] == 200

            os.kill(reports["fold-2"]["pid"], signal.SIGKILL)

            await_true(lambda: overview(own, "/ready")[0] == 503, 30)
            await_true(lambda: ready() and reports["fold-2"]["restarts"] == 1, 90)
            assert reports["fold-2"]["last_end"] == "killed by SIGKILL"
            assert (reports["fold"]["restarts"], reports["deliver"]["restarts"]) == (0, 0)
        except BaseException:
            print((tmp_path / "log").read_text(errors="replace"))
            raise
        finally:
            worker.terminate()
            assert worker.wait(30) == 0


def test_all_processes_of_a_machine_have_different_ports() -> None:
    settings = load(None, {"worker.processes": 3}, {})

    programs = {program.name: program for program in programs_of(settings, deliver=2, learn=1)}

    assert list(programs) == ["fold", "fold-2", "fold-3", "deliver", "deliver-2", "learn"]
    ports = [
        (program.env.get("PERENNIAL_METRICS__FOLD"), program.env.get("PERENNIAL_WORKER__PORT"))
        for name, program in programs.items()
        if name.startswith("fold")
    ]
    assert ports == [(None, None), ("9111", "8392"), ("9121", "8393")]
    assert programs["deliver-2"].env["PERENNIAL_METRICS__DELIVER"] == "9112"
    assert {program.silent_s for program in programs.values()} == {75.0}
