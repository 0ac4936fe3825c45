"""Ports of an installation: claimed before its processes start, and replaced if another program has them.

A port that was set is never changed. A default port may be replaced by another one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from models.errors import PerennialError
from stream.settings.loading import Settings
from stream.settings.worker_addresses import MAX_WORKERS

BROKER_PORT = 9092
"""Default port of the embedded broker."""
METRICS = ("fold", "deliver", "learn", "retrainer", "collector", "worker")
MAX_TRIES = 500
"""Maximum number of ports that are tried instead of a default one."""
MAX_PORT = 65_535
"""Maximum port number."""


class PortTaken(PerennialError):
    """A port of ours on which another program listens: stop that program, or choose another port."""


class WantedPort(NamedTuple):
    """A port that an installation needs.

    Attributes
    ----------
    setting
        Path, such as ``http.port``.
    host, port
        Address to listen on; port 0 is any free one.
    origin
        Where it was set; ``None`` for a default.
    step
        Distance to the next port that is tried instead.
    """

    setting: str
    host: str
    port: int
    origin: str | None
    step: int = 1


class ClaimedPorts(NamedTuple):
    """Ports that were claimed.

    Attributes
    ----------
    ports
        Port by setting.
    notes
        One sentence for each default port that was replaced.
    """

    ports: Mapping[str, int]
    notes: list[str]


class Claims:
    """Ports that this process has claimed, so that two installations which start together take different ones.

    All processes of this user share one file. A claim is a lock on the byte at the port's number in this file. It ends
    with the process.

    Parameters
    ----------
    file
        File with the locks; by default one in the system's temporary folder.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._path = file or Path(tempfile.gettempdir()) / f"perennial-ports-{os.getuid()}"
        self._file: int | None = None
        self._mine: set[int] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sorted(self._mine)})"

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):  # without the file, another start may take the same port
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, 0o600)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._mine.clear()

    def claim(self, host: str, port: int) -> bool:
        """Claim a port, and return whether it was free and no other process had claimed it."""
        if port in self._mine or not self._lock(port):
            return False
        if is_taken(host, port):
            self._unlock(port)
            return False
        self._mine.add(port)
        return True

    def _lock(self, port: int) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True

    def _unlock(self, port: int) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, port)


def choose(settings: Settings, claims: Claims, broker_port: int | None = None) -> ClaimedPorts:
    """Claim every port that an installation needs on this machine.

    Parameters
    ----------
    settings
        Settings of the installation.
    claims
        Claims, open for as long as the ports are needed.
    broker_port
        Value of ``--broker-port``; 0 takes a free one.

    Raises
    ------
    PortTaken
        A port that was set is taken. The message names the port, the setting, and where it was set.
    """
    wanted = list(_wanted(settings, broker_port))
    others = {each.port for each in wanted}
    ports: dict[str, int] = {}
    notes: list[str] = []
    for each in wanted:
        if each.port and claims.claim(each.host, each.port):
            ports[each.setting] = each.port
            continue
        if each.port and each.origin is not None:
            raise PortTaken(
                f"port {each.port} is taken; {each.setting} names it ({each.origin}): stop the program that listens "
                f"there, or choose another port (0 takes a free one)"
            )
        ports[each.setting] = found = _another(each, claims, others)
        if each.port:
            notes.append(f"port {each.port} is taken: {each.setting} is {found}")
    return ClaimedPorts(ports, notes)


def _wanted(settings: Settings, broker_port: int | None) -> Iterator[WantedPort]:
    if settings.embedded:
        yield _broker(settings, broker_port)
    given = settings.given
    http, worker, metrics = settings.sections.http, settings.sections.worker, settings.sections.metrics
    wanted = [WantedPort("http.port", http.host, http.port, None)]
    wanted.append(WantedPort("worker.port", worker.host, worker.port, None, MAX_WORKERS))
    for name in METRICS:
        port: int | None = getattr(metrics, name)
        if port is not None:
            wanted.append(WantedPort(f"metrics.{name}", metrics.host, port, None))
    for each in wanted:
        source = given.source(each.setting)
        yield each if source == "default" else each._replace(origin=source)


def _broker(settings: Settings, port: int | None) -> WantedPort:
    """Return the port of the embedded broker, which ``--broker-port`` or ``kafka.servers`` names."""
    servers = settings.sections.kafka.servers
    origin = settings.given.source("kafka.servers")
    if servers is None:
        return WantedPort(
            "--broker-port", "127.0.0.1", BROKER_PORT if port is None else port, None if port is None else "a flag"
        )
    named = int(servers.partition(",")[0].rpartition(":")[2])
    if port is not None and port != named:
        raise PortTaken(
            f"--broker-port {port} contradicts kafka.servers, which is {servers} ({origin}): leave one of them out"
        )
    return WantedPort("kafka.servers", "127.0.0.1", named, origin)


def _another(wanted: WantedPort, claims: Claims, others: set[int]) -> int:
    """Claim the next free port above a default one, because people look for it there; for port 0, any free port."""
    if wanted.port:
        for number in range(1, MAX_TRIES):
            port = wanted.port + number * wanted.step
            if port > MAX_PORT:
                break
            if port not in others and claims.claim(wanted.host, port):
                return port
    for _ in range(MAX_TRIES):
        port = free_port(wanted.host)
        if port not in others and claims.claim(wanted.host, port):
            return port
    raise PortTaken(f"no free port was found for {wanted.setting}")


def free_port(host: str = "127.0.0.1") -> int:
    """Find a free port; another process may take it a moment later."""
    with _bound(host, 0) as probe:
        port: int = probe.getsockname()[1]
        return port


def is_taken(host: str, port: int) -> bool:
    """Return whether a program listens on a port of this machine."""
    try:
        _bound(host, port).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    # some systems let a second process listen on one address while the first listens on all of them
    return host in ("127.0.0.1", "0.0.0.0", "localhost") and _answers(port)  # noqa: S104 - compared, not bound


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    probe = socket.socket(family, kind, protocol)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
    except BaseException:
        probe.close()
        raise
    return probe


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True
