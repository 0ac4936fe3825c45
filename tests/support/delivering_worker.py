"""A delivering worker: ``python -m ... SERVERS PREFIX TRANSACTIONS SESSION_S PORT OUTBOX [CHANNEL ...]``.

It hands e-mail to the SMTP server at ``PORT`` on loopback; other channels have no provider.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from models.events import CHANNELS
from stream.cluster.connection import Connection
from stream.delivery.channels import DeliverySettings, open_channel
from stream.delivery.smtp import SmtpSettings
from stream.transport.app import create_app, run_worker
from stream.worker.topology import deliver_edges


def _now() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    servers, prefix, transactions, session_s, port, outbox, *more = sys.argv[1:]
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )
    settings = DeliverySettings(
        mode="live",
        outbox=Path(outbox),
        secrets=(b"0123456789abcdef",),
        smtp=SmtpSettings("127.0.0.1", int(port), security="none", sender="Shop <hello@shop.example>"),
    )
    dispatchers = {
        channel: open_channel(channel, settings, now=_now) for channel in CHANNELS if channel in ("email", *more)
    }
    run_worker(create_app("deliver", connection, deliver_edges(dispatchers, _now)))


if __name__ == "__main__":
    main()
