"""kafka-python's admin client, with errors that say why no broker answers."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, is_kafka_error

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

__all__ = ["BrokerUnreachable", "admin", "patiently", "require_broker"]

_FAILURE = re.compile(r"^Bootstrap connection to \S+ failed: (.*?)(?: \(backoff [0-9.]+ secs\))?$")
_VAGUE = ("socket disconnected", "RequestTimedOut")


T = TypeVar("T")
logger = logging.getLogger(__name__)

RETRY_S = 0.5
"""How long a process waits before it asks again, after a broker did not answer, seconds."""
LOG_EVERY_S = 60.0
"""How long a process waits before it logs again that it still waits or fails, seconds."""
REFUSED_S = 0.5
"""How long a broker may refuse connections because it is just starting, seconds.

If every server still refuses after that time, no broker listens there.
"""


class BrokerUnreachable(BrokerUnavailable):
    """No broker answers, or the broker refuses this client or its request: correct what the message names."""


@contextmanager
def admin(connection: Connection, timeout_s: float = 5.0) -> Iterator[KafkaAdminClient]:
    """Open kafka-python's admin client.

    Raises
    ------
    BrokerUnreachable
        No broker answers within ``timeout_s`` seconds, or it refuses the credentials or a request.
    """
    from kafka import KafkaAdminClient

    _await_listener(connection, timeout_s)
    with _last_failure() as failure:
        try:
            client = KafkaAdminClient(
                **connection.client_options(), bootstrap_timeout_ms=int(timeout_s * 1000), client_id="perennial-admin"
            )
        except Exception as error:
            if not is_kafka_error(error):
                raise
            why = _explain(failure[-1] if failure else str(error), connection)
            raise BrokerUnreachable(
                f"the server at {connection.servers} did not accept this client within {timeout_s:g} s "
                f"({why}); correct kafka.servers, kafka.tls or kafka.sasl"
            ) from error
    try:
        yield client
    except Exception as error:
        if isinstance(error, BrokerUnavailable) or not is_kafka_error(error):
            raise
        raise BrokerUnreachable(
            f"the broker at {connection.servers} refused: {type(error).__name__}: {error}"
        ) from error
    finally:
        client.close()


def require_broker(connection: Connection) -> None:
    """Check that a broker answers and accepts the credentials.

    Raises
    ------
    BrokerUnreachable
        No broker answers, or it refuses the credentials; the message gives the reason.
    """
    with admin(connection) as client:
        client.describe_cluster()


def patiently(ask: Callable[[], T]) -> T:
    """Call ``ask`` again and again until a broker answers, and return the result of ``ask``.

    A process may start before its broker. The reason for waiting is logged immediately, and then once a minute.
    """
    logged_at: float | None = None
    while True:
        try:
            answer = ask()
        except BrokerUnreachable as error:
            if logged_at is None or time.monotonic() - logged_at >= LOG_EVERY_S:
                logged_at = time.monotonic()
                logger.warning("waiting for the broker: %s", error)
        else:
            if logged_at is not None:
                logger.warning("the broker answers")
            return answer
        time.sleep(RETRY_S)  # nothing notifies this process when a broker can be reached again


def _explain(reason: str, connection: Connection) -> str:
    if connection.sasl_mechanism is not None and any(word in reason for word in _VAGUE):
        return f"{reason}; a broker also closes the connection for a wrong username, password or mechanism"
    return reason


@contextmanager
def _last_failure() -> Iterator[list[str]]:
    """Collect the reasons of failed attempts from kafka-python's log, because its errors do not name the reasons."""
    library = logging.getLogger("kafka")
    before = library.level, library.propagate
    collector = _Failures(logging.WARNING)
    library.addHandler(collector)
    library.setLevel(logging.WARNING)
    library.propagate = False
    try:
        yield collector.reasons
    finally:
        library.removeHandler(collector)
        library.setLevel(before[0])
        library.propagate = before[1]


class _Failures(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.reasons: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = _FAILURE.search(record.getMessage())
        # After a broker has refused a client, it closes connections for a moment. The reason of the refusal says more
        # than a closed connection, so the earlier reason is kept.
        if found and (not self.reasons or not any(word in found[1] for word in _VAGUE)):
            self.reasons.append(found[1])


def _await_listener(connection: Connection, timeout_s: float) -> None:
    """Wait until a server accepts a connection.

    This comes before kafka-python, which gives no reason and leaks its socket if no server accepts one.
    """
    began = time.monotonic()
    while True:
        silent = False
        for server in connection.servers.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
            except (OSError, ValueError) as error:
                reason = error
                silent = silent or isinstance(error, TimeoutError)
            else:
                return
        patience = timeout_s if silent else min(timeout_s, REFUSED_S)
        if time.monotonic() - began > patience or isinstance(reason, ValueError):
            raise BrokerUnreachable(
                f"no broker answers at {connection.servers} ({getattr(reason, 'strerror', None) or reason}); "
                "start everything with: perennial up (or a broker alone: perennial broker), or correct kafka.servers"
            ) from reason
        time.sleep(0.05)
