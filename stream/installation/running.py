"""All processes of one machine together: for ``perennial up``, the demo, and a replay with ``--embedded``."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.errors import PerennialError
from stream.cluster import topics
from stream.cluster.admin import patiently
from stream.cluster.connection import Connection
from stream.installation.applying import publish_in_use
from stream.installation.commands import perennial
from stream.installation.embedded_broker import EmbeddedBroker
from stream.installation.ports import METRICS
from stream.log.event_log import ClockName, EventLog
from stream.processes.error_lines import last_error
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor
from stream.settings.loading import Settings, load
from stream.settings.rules import read_configuration
from stream.settings.schema import WorkerSection

Part = Literal["worker", "retrainer", "collector"]

STOP_WITHIN_S = 15.0
"""How long each part may take to stop, seconds."""


class NotReady(PerennialError):
    """A process that did not become ready: see its log, which the message names."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Options for the start of an installation.

    Attributes
    ----------
    clock
        Clock of the log: ``feeder`` for one that a replay or a simulation feeds.
    broker_port
        Port of the embedded broker; ``None`` takes a free one.
    logs
        Folder for the processes' logs; by default ``logs`` in the data folder.
    keeps_logs
        Whether that folder still exists after the end.
    applies
        Whether to put the file's rules into use. Otherwise the rules in the log stay in use.
    """

    clock: ClockName = "wall"
    broker_port: int | None = None
    logs: Path | None = None
    keeps_logs: bool = True
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation.

    Attributes
    ----------
    settings
        Its settings, with the embedded broker's address if there is one.
    supervisor
        Supervisor of the parts.
    broker
        The embedded broker; ``None`` on a Kafka of your own.
    logs
        Folder of the processes' logs.
    keeps_logs
        Whether that folder still exists after the end.
    begins
        Size of each log before this run, bytes; everything after it was written in this run.
    """

    settings: Settings
    supervisor: Supervisor
    broker: EmbeddedBroker | None
    logs: Path
    keeps_logs: bool = True
    begins: Mapping[str, int] = field(default_factory=dict)

    def explain(self, failure: str, part: str) -> str:
        """Return the failure of a part, followed by the last error in the log of that part and the place of the log."""
        error = logged_error(self.logs / f"{part}.log", self.begins.get(part, 0))
        where = f"logs: {self.logs}" if self.keeps_logs else "PERENNIAL_DEBUG=1 keeps the logs"
        return f"{failure}{f': {error}' if error else ''} ({where})"


def logged_error(log: Path, begin: int = 0) -> str:
    """Return the last error after byte ``begin`` of a process's log; without an error, return the last line."""
    try:
        return last_error(log.read_bytes()[begin:].decode("utf-8", "replace"))
    except OSError:
        return ""


@contextmanager
def running(
    settings: Settings,
    parts: Sequence[Part],
    options: StartOptions = StartOptions(),
    on_broker_ready: Callable[[Settings], None] | None = None,
) -> Iterator[Installation]:
    """Start an installation, and stop everything at the end.

    The steps are: start the embedded broker if the settings name no Kafka, create the topics, put the configuration
    into use, start the parts.

    Parameters
    ----------
    settings
        Settings of the installation.
    parts
        Processes to run in addition to the broker.
    options
        Options of this start.
    on_broker_ready
        Called with the settings when broker and topics exist, before the parts start.
    """
    logs = options.logs or settings.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        broker = None
        if settings.embedded:
            broker = stack.enter_context(EmbeddedBroker(options.broker_port, logs))
            flags = {**settings.flags, "kafka.servers": broker.address, "kafka.embedded": True}
            settings = load(settings.file, flags, record=False)
        connection = settings.connection()
        patiently(lambda: topics.create(connection, settings.partitions, settings.replication_factor))
        asyncio.run(_open_log(connection, settings, options))
        if on_broker_ready is not None:
            on_broker_ready(settings)
        files = {part: logs / f"{part}.log" for part in parts}
        begins: dict[str, int] = {part: _size(file) for part, file in files.items()}
        supervisor = stack.enter_context(Supervisor(_programs(settings, files)))
        yield Installation(settings, supervisor, broker, logs, options.keeps_logs, begins)


def _programs(settings: Settings, logs: Mapping[Part, Path]) -> list[Program]:
    env = settings.environment()
    return [
        Program(name=part, argv=perennial(part), env=env, log=log, stop_within=STOP_WITHIN_S)
        for part, log in logs.items()
    ]


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


async def _open_log(connection: Connection, settings: Settings, options: StartOptions) -> None:
    async with EventLog(connection, settings.partitions) as log:
        await log.ensure_clock(options.clock)
    if options.applies:
        await publish_in_use(connection, settings.partitions, read_configuration(settings))


def own_ports() -> dict[str, int]:
    """Return flags with a free port for everything, so that a second installation can run on this machine."""
    flags = {f"metrics.{name}": 0 for name in METRICS}
    with ExitStack() as stack:
        for name in ("worker.port", "http.port"):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            flags[name] = listener.getsockname()[1]
    return flags


def await_folding(installation: Installation, within_s: float = 60.0) -> None:
    """Return when a fold owns all partitions of the log and has restored them, or when the supervisor was stopped.

    Raises
    ------
    NotReady
        A process refused to start, or the fold was not ready after ``within_s`` seconds.
    """
    settings, deadline = installation.settings, time.monotonic() + within_s
    while not _is_folding(settings.sections.worker, settings.partitions):
        refused = installation.supervisor.refused
        if refused is not None or time.monotonic() > deadline:
            failure = f"{refused} refused to start" if refused else f"the fold was not ready within {within_s:g} s"
            raise NotReady(installation.explain(failure, refused or "worker"))
        if installation.supervisor.over.wait(0.1) and installation.supervisor.refused is None:
            return


def _is_folding(worker: WorkerSection, partitions: int) -> bool:
    connection = http.client.HTTPConnection(worker.host, worker.port, timeout=2.0)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        lanes = json.loads(answer.read())["lanes"]
        owned = sum(1 for lane in lanes if lane["topic"] == "events" and lane["open"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False  # the fold does not listen yet
    else:
        return answer.status == 200 and owned == partitions
    finally:
        connection.close()
