"""kafka-python's admin client, with errors that say why nobody answers."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from models.errors import PerennialError
from stream.cluster.connection import Connection

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

_FAILURE = re.compile(r"^Bootstrap connection to \S+ failed: (.*?)(?: \(backoff [0-9.]+ secs\))?$")
_VAGUE = ("socket disconnected", "RequestTimedOut")


T = TypeVar("T")
log = logging.getLogger(__name__)

ASK_EVERY_S = 0.5
"""How long a process waits before it asks a broker again that did not answer."""
SAY_EVERY_S = 60.0
"""How often it says that it waits."""
REFUSED_S = 0.5
"""Where every server refuses a connection nothing listens; one that is just starting is given so many seconds."""


class BrokerUnreachable(PerennialError):
    """No broker answers: start one, or correct ``kafka.servers``."""


@contextmanager
def admin(connection: Connection, timeout_s: float = 5.0) -> Iterator[KafkaAdminClient]:
    """Open kafka-python's admin client.

    Raises
    ------
    BrokerUnreachable
        Where nobody answers within ``timeout_s``, or refuses the credentials.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    _await_listener(connection, timeout_s)
    with _last_failure() as failure:
        try:
            client = KafkaAdminClient(
                **connection.client_options(), bootstrap_timeout_ms=int(timeout_s * 1000), client_id="perennial-admin"
            )
        except (KafkaError, OSError) as error:
            why = _told(failure[-1] if failure else str(error), connection)
            raise BrokerUnreachable(
                f"what listens at {connection.servers} does not let us in within {timeout_s:g} s "
                f"({why}); correct kafka.servers, kafka.tls or kafka.sasl"
            ) from error
    try:
        yield client
    except KafkaError as error:
        raise BrokerUnreachable(
            f"the broker at {connection.servers} refused: {type(error).__name__}: {error}"
        ) from error
    finally:
        client.close()


def require_broker(connection: Connection) -> None:
    """Return where a broker answers and lets us in; raises :class:`BrokerUnreachable` else, which says why not."""
    with admin(connection) as client:
        client.describe_cluster()


def patiently(ask: Callable[[], T]) -> T:
    """Ask until a broker answers, and return what ``ask`` returned: a process may start before its broker.

    Why it waits is logged at once, and then once a minute.
    """
    said_at: float | None = None
    while True:
        try:
            answer = ask()
        except BrokerUnreachable as error:
            if said_at is None or time.monotonic() - said_at >= SAY_EVERY_S:
                said_at = time.monotonic()
                log.warning("waiting for the broker: %s", error)
        else:
            if said_at is not None:
                log.warning("the broker answers")
            return answer
        time.sleep(ASK_EVERY_S)  # a broker that is away can only be asked again


def _told(reason: str, connection: Connection) -> str:
    if connection.sasl_mechanism is not None and any(word in reason for word in _VAGUE):
        return f"{reason}; a broker may hang up so on a wrong username, password or mechanism"
    return reason


@contextmanager
def _last_failure() -> Iterator[list[str]]:
    """Collect why attempts failed: kafka-python only logs it, and then raises that time is up."""
    logger = logging.getLogger("kafka")
    before = logger.level, logger.propagate
    collector = _Failures(logging.WARNING)
    logger.addHandler(collector)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield collector.reasons
    finally:
        logger.removeHandler(collector)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Failures(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.reasons: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = _FAILURE.search(record.getMessage())
        # a broker hangs up for a moment on one that it has just refused: that says less than the refusal
        if found and (not self.reasons or not any(word in found[1] for word in _VAGUE)):
            self.reasons.append(found[1])


def _await_listener(connection: Connection, timeout_s: float) -> None:
    """Wait until one of the servers takes a connection: kafka-python tells no reason, and leaks its socket."""
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
