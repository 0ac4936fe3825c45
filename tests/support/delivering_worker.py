"""A delivering worker: ``python -m ... SERVERS PREFIX TRANSACTIONS SESSION_S PORT OUTBOX [CHANNEL ...]``.

It hands e-mail to the SMTP server at ``PORT`` on loopback; other channels have no provider.
"""

from __future__ import annotations

import sys
from pathlib import Path

from models.events import CHANNELS
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.delivery.channels import open_channel
from stream.transport.app import create_app, run_worker
from stream.worker.topology import deliver_agents
from tests.support.mail import live_mail


def main() -> None:
    """Run the worker until it is asked to stop."""
    servers, prefix, transactions, session_s, port, outbox, *more = sys.argv[1:]
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )
    settings = live_mail(int(port), Path(outbox))
    dispatchers = {
        channel: open_channel(channel, settings, now=now_ms) for channel in CHANNELS if channel in ("email", *more)
    }
    run_worker(create_app("deliver", connection, deliver_agents(dispatchers, now_ms)))


if __name__ == "__main__":
    main()
