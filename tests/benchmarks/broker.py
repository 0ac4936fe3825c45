"""The broker that a benchmark runs against: a process of its own, and named."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from models.errors import PerennialError
from stream.cluster.connection import Connection
from stream.installation.embedded_broker import EmbeddedBroker
from tests.support.brokers import ApacheKafka
from tests.support.paths import ROOT

Kind = Literal["kafka", "embedded"]

_numbers = count()


class NoKafka(PerennialError):
    """No Kafka distribution was found: set KAFKA_HOME, or measure on the embedded broker."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker.

    Attributes
    ----------
    name
        For people, with its version.
    address
        ``host:port``.
    transactions
        Whether it has them.
    pid
        Of its process.
    """

    name: str
    address: str
    transactions: bool
    pid: int

    def connection(self) -> Connection:
        """A prefix that nothing else has."""
        return Connection(
            self.address,
            prefix=f"bench{next(_numbers)}.",
            transactions=self.transactions,
            session_timeout_s=10 if self.transactions else 6,
        )

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used so far."""
        return cpu_seconds(self.pid)


def kafka_home() -> Path:
    """Where a Kafka distribution stands.

    Raises
    ------
    NoKafka
        Nowhere.
    """
    named = os.environ.get("KAFKA_HOME")
    home = Path(named) if named else ROOT.parent / "shared" / "kafka"
    if not (home / "bin" / "kafka-server-start.sh").exists():
        raise NoKafka(f"{home} holds no Kafka distribution: set KAFKA_HOME, or take --broker embedded")
    return home


@contextmanager
def a_broker(kind: Kind) -> Iterator[Broker]:
    """Start a broker in a folder of its own, and end it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-broker-")))
        if kind == "kafka":
            home = kafka_home()
            kafka = ApacheKafka(home, folder)
            kafka.start()
            stack.callback(kafka.stop)
            version = next((jar.stem.rpartition("-")[2] for jar in (home / "libs").glob("kafka-clients-*.jar")), "?")
            yield Broker(f"Apache Kafka {version}", kafka.address, True, kafka.pid)
        else:
            embedded = stack.enter_context(EmbeddedBroker(None, folder))
            name = "embedded broker (Tansu: in memory, no transactions)"
            yield Broker(name, embedded.address, False, embedded.pid)


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used so far, of user and system, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
