"""Worker processes in tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.cluster.connection import Connection

COUNTING = "tests.support.counting_worker"


def start_worker(connection: Connection, log: Path, module: str = COUNTING, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``python -m module SERVERS PREFIX TRANSACTIONS SESSION_S ...``; its output is appended to ``log``."""
    transactions = "yes" if connection.transactions else "no"
    command = [sys.executable, "-m", module, connection.servers, connection.prefix, transactions]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*command, str(connection.session_timeout_s), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def running_worker(
    connection: Connection, log: Path, module: str = COUNTING, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker, and kill it if the test has not ended it; a test that fails shows the worker's output."""
    worker = start_worker(connection, log, module, *arguments)
    try:
        yield worker
    except BaseException:
        print(log.read_text(errors="replace"))
        raise
    finally:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
