"""A counting worker that reaches its broker through another port: ``... SERVERS PREFIX TRANSACTIONS SESSION_S PORT``.

A broker tells its clients to which port they connect. So the worker replaces the port of each connection.
"""

from __future__ import annotations

import sys
from typing import Any

from aiokafka import client

from stream.cluster.connection import Connection
from stream.transport.app import create_app, run_worker
from tests.support.counting import COUNTING


def main() -> None:
    servers, prefix, transactions, session_s, port = sys.argv[1:]
    create_conn = client.create_conn

    async def through_the_forwarder(host: str, _: int, **options: Any) -> Any:
        return await create_conn(host, int(port), **options)

    client.create_conn = through_the_forwarder
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )
    run_worker(create_app("count", connection, [COUNTING]))


if __name__ == "__main__":
    main()
