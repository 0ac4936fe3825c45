"""A worker: lanes under a Faust app that keeps the group, the assignment and the agents, and commits nothing itself.

Agents are wired from edges, never with ``@app.agent``; there is no app at module level.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, NoReturn

import faust
from faust.types import TP

from models.batch import Outputs
from stream.cluster.connection import Connection
from stream.engine.agent_spec import Edge
from stream.engine.context import Observer
from stream.engine.lane import Lane
from stream.engine.lanes import Lanes
from stream.processes import exits
from stream.processes.exits import leave
from stream.processes.logs import set_up_logging
from stream.transport.consumer import BatchThread, BatchTransport
from stream.transport.subscription import NoTables

log = logging.getLogger(__name__)

STOP_WITHIN_S: Final = 9.0
COLLECT_AFTER: Final = (400_000, 20, 50)
"""Thresholds of the collector's three generations: its youngest one about once in a full batch."""


class Unobserved:
    """An observer that does nothing."""

    def opened(self, lane: Lane, seconds: float) -> None:
        """Do nothing."""

    def committed(self, lane: Lane, records: int, seconds: float, outputs: Outputs) -> None:
        """Do nothing."""

    def failed(self, lane: Lane, error: BaseException) -> None:
        """Do nothing."""


class LaneApp(faust.App):  # type: ignore[misc]  # Faust's types are skipped
    """A Faust app whose agents move batches into lanes.

    Attributes
    ----------
    lanes
        What runs here; ask it for ``snapshot()`` and ``restored()``.
    at_once
        Tasks that begin before a broker is asked for anything; Faust's own wait until it has assigned partitions.
    """

    lanes: Lanes
    at_once: list[Callable[[], Coroutine[Any, Any, None]]]

    async def on_start(self) -> None:
        """Begin, before Faust connects."""
        await super().on_start()
        for task in self.at_once:
            self.add_future(task())

    def _create_directories(self) -> None:
        """Make no folders: nothing of ours is kept on this machine's disk."""


def create_app(
    name: str,
    connection: Connection,
    edges: Sequence[Edge],
    *,
    observer: Observer | None = None,
    on_leave: Callable[[str], None] = leave,
) -> LaneApp:
    """Wire a worker.

    Parameters
    ----------
    name
        The role: ``fold``, ``deliver``, ``learn``. With the prefix it is the consumer group, and the first part of
        every transactional id, so it must never change for an installation.
    connection
        The cluster.
    edges
        What runs in it; all of their topics must exist.
    observer
        Hears of commits and failures.
    on_leave
        Ends this process when somebody else owns its partitions.
    """
    application = connection.group(name)
    lanes = Lanes(connection, edges, application, observer or Unobserved(), on_leave)
    app = LaneApp(
        application,
        broker=f"kafka://{connection.servers.replace(',', ';kafka://').replace(' ', '')}",
        broker_session_timeout=connection.session_timeout_s,
        broker_heartbeat_interval=connection.heartbeat_interval_s,
        broker_request_timeout=max(15.0, connection.session_timeout_s + 5),
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        stream_wait_empty=True,  # makes Faust call our consumer's wait_empty, which settles the lanes
        worker_redirect_stdouts=False,
        TableManager=NoTables,
    )
    app.lanes, app.at_once = lanes, []
    app.transport = BatchTransport(app, connection, lanes)

    def thread() -> BatchThread:
        found: BatchThread = app.consumer._thread
        return found

    lanes.attach(thread)
    for edge in edges:
        _wire(app, connection, edge)

    async def on_assigned(_app: Any, assigned: Iterable[TP], **_: Any) -> None:
        lanes.assigned(assigned)

    app.on_partitions_assigned.connect(on_assigned)
    return app


def _wire(app: LaneApp, connection: Connection, edge: Edge) -> None:
    lanes = app.lanes
    # acks=False: Faust neither tracks nor commits what these agents read.
    topics = app.topic(*map(connection.topic, edge.topics), acks=False, key_serializer="raw", value_serializer="raw")

    async def move(stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            lanes.deliver(event.message.tp, event.message.value)
            yield

    app.agent(topics, name=edge.name)(move)


class _Worker(faust.Worker):  # type: ignore[misc]  # Faust's types are skipped
    """Ends in time when it is asked to."""

    def _on_sigterm(self) -> None:
        self._arm()
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        self._arm()
        self._schedule_shutdown(signal.SIGINT)

    def _arm(self) -> None:
        timer = threading.Timer(STOP_WITHIN_S, self._give_up)
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        log.error("not stopped within %.0f s", STOP_WITHIN_S)
        logging.shutdown()
        os._exit(exits.SLOW_STOP)

    async def _sentinel_task(self) -> None:
        """Wait for nothing more: Faust's own lets a second pass when everything has ended."""

    def _setproctitle(self, info: str, *, ident: str = "perennial") -> None:
        """Leave the process's title alone: whoever looks for it looks for its command line."""


def run_worker(app: LaneApp, *, level: int | str = logging.INFO) -> NoReturn:
    """Run a worker in this process until SIGTERM or SIGINT; ends the process.

    The process's garbage collector is set for batches here: it leaves alone what stands before, and looks seldom.

    Exit codes: 0 after a signal, :data:`stream.processes.exits.NOT_OWNER`, :data:`stream.processes.exits.SLOW_STOP`.
    """
    set_up_logging(level)
    # A batch makes a hundred thousand small objects and drops them without any cycle: looking for cycles while they
    # live costs a tenth of the fold, and more of reading. What stands now stands until the end.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(app, loop=loop, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # not even on a terminal
    worker.execute_from_commandline()
    raise SystemExit(os.EX_OK)  # for the type: the line before does not return
