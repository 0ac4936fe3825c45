"""``perennial worker`` keeps its three roles running and leaves none behind: the real processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
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
            await_true(lambda: len(roles_below(process.pid)) == 3, within=30)
            yield process
        finally:
            process.kill()


def test_a_role_that_is_killed_is_started_again(worker: subprocess.Popen[bytes]) -> None:
    before = roles_below(worker.pid)

    os.kill(before["deliver"], signal.SIGKILL)

    await_true(lambda: roles_below(worker.pid).get("deliver", before["deliver"]) != before["deliver"], within=30)
    after = roles_below(worker.pid)
    assert (after["fold"], after["learn"]) == (before["fold"], before["learn"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_role_outlives_its_worker(worker: subprocess.Popen[bytes], number: int) -> None:
    before = roles_below(worker.pid)

    worker.send_signal(number)

    assert worker.wait(30) == (0 if number == signal.SIGTERM else -number)
    for pid in before.values():
        await_gone(pid)
