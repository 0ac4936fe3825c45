"""A fold of the release before: ``python -m tests.support.old_worker SERVERS PREFIX yes S``.

It is today's code that knows one format level less. If ``PERENNIAL_UPGRADE_FROM`` names a checkout of an earlier
release, this program runs the worker of that checkout instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from models import levels
from stream.cluster.connection import Connection
from stream.transport import app
from stream.worker.topology import fold_agents

FROM = "PERENNIAL_UPGRADE_FROM"


def become_old() -> None:
    """Make this process refuse the newest level, and report that it does not know it."""
    for module, name, value in ((levels, "NEWEST", levels.OLDEST), (app, "CLIENT_ID", "perennial-level-1")):
        assert hasattr(module, name)
        setattr(module, name, value)


def folding_worker(checkout: Path) -> str:
    """Return the name of the module that runs the fold of a checkout; its package differs between releases."""
    (found,) = (checkout / "tests").rglob("folding_worker.py")
    return ".".join(found.relative_to(checkout).with_suffix("").parts)


def main() -> None:
    if checkout := os.environ.get(FROM):
        os.chdir(checkout)
        worker = [sys.executable, "-m", folding_worker(Path(checkout)), *sys.argv[1:]]
        os.execve(sys.executable, worker, {**os.environ, "PYTHONPATH": checkout})
    servers, prefix, _, session_s = sys.argv[1:]
    become_old()
    connection = Connection(servers, prefix=prefix, session_timeout_s=float(session_s))
    app.run_worker(app.create_app("fold", connection, fold_agents()))


if __name__ == "__main__":
    main()
