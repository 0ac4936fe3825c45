"""A fold in a separate process: ``python -m tests.support.folding_worker SERVERS PREFIX yes SESSION_S [wrong]``.

With ``wrong`` its code has a mistake in a fact that no feature uses: additions to a cart count twice.
"""

from __future__ import annotations

import sys
from typing import Any

from models.events import Event
from models.fold import step
from models.profile.numbers import Numbers
from models.profile.reducers import reduce_facts
from models.profile.state import Facts
from stream.cluster.connection import Connection
from stream.transport.app import create_app, run_worker
from stream.worker.topology import fold_agents


def wrong(facts: Facts, numbers: Numbers, event: Event, *more: Any) -> None:
    """Reduce the facts as the correct code does, and then count an addition to a cart a second time."""
    reduce_facts(facts, numbers, event, *more)
    if event.type == "cart_add":
        facts.events[event.type] += 1


def main() -> None:
    servers, prefix, _, session_s, *how = sys.argv[1:]
    if how == ["wrong"]:
        setattr(step, "reduce_facts", wrong)  # noqa: B010 - only this program changes the module
    connection = Connection(servers, prefix=prefix, session_timeout_s=float(session_s))
    run_worker(create_app("fold", connection, fold_agents()))


if __name__ == "__main__":
    main()
