"""Learners that may kill themselves.

Start them with ``python -m tests.support.learning_worker SERVERS PREFIX TRANSACTIONS SESSION_TIMEOUT_S [POINT]``.
TRANSACTIONS is ``yes`` or ``no``.

A point is a moment between two durable writes. At this point the process kills itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.engine.committers import OrderedCommitter, TransactionalCommitter
from stream.transport.app import create_app, run_worker
from stream.worker.topology import learn_agents

POINTS = ("before a commit", "after a commit", "before a version is broadcast")


def dying(function: Callable[..., Any], at: int, *, before: bool) -> Callable[..., Any]:
    """Wrap a function so that its call number ``at`` kills this process, before or after its work."""
    calls = itertools.count(1)

    async def called(self: Any, *arguments: Any) -> Any:
        number = next(calls)
        if before and number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        found = await function(self, *arguments)
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return called


def plant(point: str) -> None:
    """Make this process kill itself at a point."""
    classes: tuple[Any, ...] = (TransactionalCommitter, OrderedCommitter)
    if point == "before a version is broadcast":
        classes = (Writer,)
    name = "send_everywhere" if classes == (Writer,) else "commit"
    for one in classes:
        # the third call, because at the start each of the two learners may broadcast an earlier version again
        setattr(one, name, dying(getattr(one, name), 3, before=point.startswith("before")))


def main() -> None:
    servers, prefix, transactions, session_s, *point = sys.argv[1:]
    if point:
        plant(point[0])
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )
    run_worker(create_app("learn", connection, learn_agents()))


if __name__ == "__main__":
    main()
