"""``perennial worker`` keeps its three roles running and leaves none behind: the real processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream import topics
from stream.supervisor import perennial
from tests.brokers import Cluster
from tests.stream.processes import await_gone, await_true, roles_below


@pytest.fixture
def worker(embedded: Cluster, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    topics.create(embedded.connection, 4)
    settings = {
        "PERENNIAL_KAFKA__SERVERS": embedded.connection.servers,
        "PERENNIAL_KAFKA__PREFIX": embedded.connection.prefix,
        "PERENNIAL_KAFKA__EMBEDDED": "true",
        "PERENNIAL_WORKER__PORT": "0",
        **{f"PERENNIAL_METRICS__{role}": "0" for role in ("FOLD", "DELIVER", "LEARN")},
    }
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            perennial("worker"), env={**os.environ, **settings}, cwd=tmp_path, stdout=log, stderr=log
        ) as process,
    ):
        try:
            await_roles(process, tmp_path / "log", lambda roles: roles.keys() == {"fold", "deliver", "learn"})
            yield process
        finally:
            process.kill()


def await_roles(worker: subprocess.Popen[bytes], log: Path, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Return the roles below a worker when ``holds`` of them; shows the worker's log where that takes too long."""
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
