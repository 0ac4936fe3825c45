"""Broker for a benchmark, in a separate process, with its name and version."""

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
    """No Kafka distribution was found. Set KAFKA_HOME, or measure on the embedded broker."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker.

    Attributes
    ----------
    name
        Name with version, for reports.
    address
        ``host:port``.
    transactions
        Whether the broker supports transactions.
    pid
        Process id.
    relay
        Process id of the relay in front of the embedded broker; ``None`` without one.
    """

    name: str
    address: str
    transactions: bool
    pid: int
    relay: int | None = None

    def connection(self) -> Connection:
        """Make a connection with an unused prefix."""
        return Connection(
            self.address,
            prefix=f"bench{next(_numbers)}.",
            transactions=self.transactions,
            session_timeout_s=10 if self.transactions else 6,
        )

    def cpu_s(self) -> float:
        """Return the CPU time that the broker and its relay have used so far, seconds."""
        return cpu_seconds(self.pid) + (0.0 if self.relay is None else cpu_seconds(self.relay))


def kafka_home() -> Path:
    """Return the folder of the Kafka distribution.

    Raises
    ------
    NoKafka
        There is no distribution.
    """
    named = os.environ.get("KAFKA_HOME")
    home = Path(named) if named else ROOT.parent / "shared" / "kafka"
    if not (home / "bin" / "kafka-server-start.sh").exists():
        raise NoKafka(f"{home} contains no Kafka distribution: set KAFKA_HOME, or use --broker embedded")
    return home


@contextmanager
def a_broker(kind: Kind) -> Iterator[Broker]:
    """Run a broker in a separate folder until the end of the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-broker-")))
        if kind == "kafka":
            home = kafka_home()
            kafka = ApacheKafka(home, folder, java_options="")  # as a broker in production: it optimises its code
            kafka.start()
            stack.callback(kafka.stop)
            version = next((jar.stem.rpartition("-")[2] for jar in (home / "libs").glob("kafka-clients-*.jar")), "?")
            yield Broker(f"Apache Kafka {version}", kafka.address, True, kafka.pid)
        else:
            embedded = stack.enter_context(EmbeddedBroker(None, folder))
            name = "embedded broker (Tansu: in memory, no transactions)"
            yield Broker(name, embedded.address, False, *embedded.pids)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far: user and system, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
