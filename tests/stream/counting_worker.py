"""A worker process that counts: ``python -m tests.stream.counting_worker SERVERS PREFIX TRANSACTIONS SESSION_S``."""

from __future__ import annotations

import sys

from stream.app import create_app, run_worker
from stream.connection import Connection
from tests.stream.counting import COUNTING


def main() -> None:
    servers, prefix, transactions, session_s = sys.argv[1:5]
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )
    run_worker(create_app("count", connection, [COUNTING]))


if __name__ == "__main__":
    main()
