"""Address, credentials and naming of one installation in Kafka; every client is built from this value."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

__all__ = ["Connection", "SaslMechanism", "SecurityProtocol", "transactional_id"]

MAX_HEARTBEAT_S = 0.5
"""Maximum time between two heartbeats of a member of a group, seconds.

A member learns from the answer to its next heartbeat that partitions are to be assigned again. The assignment waits
until the last member knows it.
"""


@dataclass(frozen=True, slots=True)
class Connection:
    """Address, credentials and naming of one installation on one Kafka cluster.

    Attributes
    ----------
    servers
        ``host:port``, several separated by commas.
    prefix
        Beginning of the name of every topic, consumer group and transactional id.
    transactions
        Whether the cluster has transactions; the embedded broker has none.
    session_timeout_s
        How long a member of a group may send no heartbeat before the group removes it, seconds.
    security_protocol, sasl_mechanism, username, password
        Kafka's settings of the same names; every mechanism uses ``username`` and ``password``.
    ca_file
        Certificate authorities in PEM; ``None`` uses those of the system.
    certificate_file, key_file
        The client's certificate in PEM, if the cluster asks for one.

    Raises
    ------
    ValueError
        The options contradict each other.

    Examples
    --------
    >>> connection = Connection("localhost:9092")
    >>> connection.topic("events"), connection.group("fold")
    ('perennial.events', 'perennial.fold')
    """

    servers: str
    prefix: str = "perennial."
    transactions: bool = True
    session_timeout_s: float = 10
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.servers.strip():
            raise ValueError("servers is empty; name at least one host:port")
        if self.security_protocol.startswith("SASL") and not (self.sasl_mechanism and self.username and self.password):
            raise ValueError(f"{self.security_protocol} needs a SASL mechanism, a username and a password")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("a key file needs a certificate file")

    @property
    def heartbeat_interval_s(self) -> float:
        """Time between two heartbeats of a member of a group, seconds: at most a sixth of the session timeout."""
        return min(MAX_HEARTBEAT_S, self.session_timeout_s / 6)

    @property
    def idempotence(self) -> bool:
        """Whether a producer may be idempotent. The embedded broker refuses aiokafka's request for a producer id."""
        return self.transactions

    def topic(self, logical: str) -> str:
        """Return the physical name of a topic."""
        return self.prefix + logical

    def group(self, name: str) -> str:
        """Return the id of a consumer group; the group's transactional ids begin with this id."""
        return self.prefix + name

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that clients of aiokafka and kafka-python share: address and credentials."""
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.servers.split(",") if server.strip()],
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol in ("SSL", "SASL_SSL"):
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
            if self.certificate_file is not None:
                context.load_cert_chain(str(self.certificate_file), str(self.key_file) if self.key_file else None)
            options["ssl_context"] = context
        if self.sasl_mechanism is not None:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def transactional_id(application: str, topic: str, partition: int) -> str:
    """Return the transactional id under which every owner of a partition writes; using it fences the previous owner.

    Examples
    --------
    >>> transactional_id("perennial.fold", "events", 3)
    'perennial.fold-events-3'
    """
    return f"{application}-{topic}-{partition}"
