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
from models.log import EVENTS
from stream.cluster import topics
from stream.cluster.admin import patiently
from stream.installation.commands import perennial
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import ClockName, EventLog
from stream.log.versions import publish
from stream.processes.error_lines import last_error
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor
from stream.settings.loading import Settings, load
from stream.settings.rules import read_configuration

Part = Literal["worker", "retrainer", "collector"]


class NotReady(PerennialError):
    """A process did not become ready; the message names its log."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs.

    Attributes
    ----------
    settings
        With the embedded broker's address where there is one.
    supervisor
        Of the parts.
    broker
        ``None`` on a Kafka of your own.
    logs
        Folder of the processes' logs.
    lasting
        Whether they are still there when everything is over.
    begins
        Bytes that each log held before: what is behind them was said in this life.
    """

    settings: Settings
    supervisor: Supervisor
    broker: EmbeddedBroker | None
    logs: Path
    lasting: bool = True
    begins: Mapping[str, int] = field(default_factory=dict)

    def explain(self, what: str, part: str) -> str:
        """Say of something that went wrong with a part what it said itself, and where to read on."""
        words = last_words(self.logs / f"{part}.log", self.begins.get(part, 0))
        where = f"logs: {self.logs}" if self.lasting else "PERENNIAL_DEBUG=1 keeps the logs"
        return f"{what}{f': {words}' if words else ''} ({where})"


def last_words(log: Path, begin: int = 0) -> str:
    """Find what a process of ours told its user last, in a log from ``begin`` on; else its last line."""
    try:
        return last_error(log.read_bytes()[begin:].decode("utf-8", "replace"))
    except OSError:
        return ""


@contextmanager
def running(
    settings: Settings,
    parts: Sequence[Part],
    *,
    clock: ClockName = "wall",
    broker_port: int | None = None,
    logs: Path | None = None,
    lasting: bool = True,
    applies: bool = True,
    started: Callable[[Settings], None] | None = None,
) -> Iterator[Installation]:
    """Start broker (where it is the embedded one), topics, configuration and parts; stop all at the end.

    Parameters
    ----------
    settings
        Of the installation.
    parts
        Which processes, beside the broker.
    clock
        Of the log: ``feeder`` for one that a replay or a simulation feeds.
    broker_port
        Of the embedded broker; ``None`` takes a free one.
    logs
        Folder for the processes' logs; the data folder's ``logs`` by default.
    lasting
        Whether that folder is still there when everything is over.
    applies
        Whether the file's rules are put into use; without, those of the log stay.
    started
        Called with the settings when broker and topics are there, before the parts start.
    """
    logs = logs or settings.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        broker = None
        if settings.embedded:
            broker = stack.enter_context(EmbeddedBroker(broker_port, logs))
            flags = {**settings.flags, "kafka.servers": broker.address, "kafka.embedded": True}
            settings = load(settings.file, flags, record=False)
        connection = settings.connection()
        patiently(lambda: topics.create(connection, settings.partitions, settings.replication_factor))
        asyncio.run(_open_log(settings, clock, applies=applies))
        if started is not None:
            started(settings)
        programs = [
            Program(
                name=part, argv=perennial(part), env=settings.environment(), log=logs / f"{part}.log", stop_within=15.0
            )
            for part in parts
        ]
        begins: dict[str, int] = {part: _size(logs / f"{part}.log") for part in parts}
        supervisor = stack.enter_context(Supervisor(programs))
        yield Installation(settings, supervisor, broker, logs, lasting, begins)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


async def _open_log(settings: Settings, clock: ClockName, *, applies: bool) -> None:
    connection = settings.connection()
    async with EventLog(connection, settings.partitions) as log:
        await log.ensure_clock(clock)
    if applies:
        await publish(connection, read_configuration(settings))


def own_ports() -> dict[str, int]:
    """Flags that let a second installation run on this machine: every port is a free one."""
    flags = {f"metrics.{name}": 0 for name in ("fold", "deliver", "learn", "retrainer", "collector", "worker")}
    with ExitStack() as stack:
        for name in ("worker.port", "http.port"):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            flags[name] = listener.getsockname()[1]
    return flags


def await_folding(installation: Installation, within_s: float = 60.0) -> None:
    """Return when a fold owns all partitions of the log and has restored them, or when it was asked to end.

    Raises
    ------
    NotReady
        A process refused to start, or it takes too long.
    """
    settings, deadline = installation.settings, time.monotonic() + within_s
    while not _folds(settings):
        refused = installation.supervisor.refused
        if refused is not None or time.monotonic() > deadline:
            what = f"{refused} refused to start" if refused else f"the fold was not ready within {within_s:g} s"
            raise NotReady(installation.explain(what, refused or "worker"))
        if installation.supervisor.over.wait(0.1) and installation.supervisor.refused is None:
            return


def _folds(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(settings.sections.worker.host, settings.sections.worker.port, timeout=2.0)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        lanes = json.loads(answer.read())["lanes"]
        owned = sum(1 for lane in lanes if lane["topic"] == EVENTS and lane["open"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False  # not listening yet
    else:
        return answer.status == 200 and owned == settings.partitions
    finally:
        connection.close()
