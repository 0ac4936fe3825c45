"""The Faust app of a worker: it keeps the group, the assignment and the agents of lanes, and commits nothing itself.

Agents are wired from specifications, never with ``@app.agent``; there is no app at module level.
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

from stream.cluster.connection import Connection
from stream.cluster.group_members import CLIENT_ID
from stream.engine.agent_spec import AgentSpec
from stream.engine.context import Observer
from stream.engine.lanes import Lanes
from stream.engine.reports import CommitReport
from stream.processes import exits
from stream.processes.allocator import map_large_buffers
from stream.processes.logs import set_up_logging
from stream.transport.consumer import BatchTransport
from stream.transport.consumer_thread import ConsumerFetcher
from stream.transport.subscription import NoTables

logger = logging.getLogger(__name__)

STOP_WITHIN_S: Final = 9.0
"""How long a worker may take to stop, seconds."""
COLLECT_AFTER: Final = (400_000, 20, 50)
"""Thresholds of the garbage collector's three generations; the youngest is collected about once in a full batch."""


class Unobserved:
    """An observer that ignores everything."""

    def opened(self, topic: str, seconds: float) -> None:
        """Ignore the call."""

    def committed(self, report: CommitReport) -> None:
        """Ignore the call."""

    def failed(self, topic: str, error: BaseException) -> None:
        """Ignore the call."""


class LaneApp(faust.App):  # type: ignore[misc]  # Faust's types are skipped
    """A Faust app whose agents move fetches into lanes.

    Attributes
    ----------
    lanes
        All lanes of this process.
    fetcher
        The consumer, as lanes see it.
    at_once
        Tasks that begin before any request to a broker. Faust's tasks wait until partitions are assigned.
    """

    lanes: Lanes
    fetcher: ConsumerFetcher
    at_once: list[Callable[[], Coroutine[Any, Any, None]]]

    async def on_start(self) -> None:
        """Start the tasks that do not wait for a broker."""
        await super().on_start()
        for task in self.at_once:
            self.add_future(task())

    def _create_directories(self) -> None:
        """Create no folders, because a worker stores nothing on this machine's disk."""


def create_app(
    name: str,
    connection: Connection,
    specs: Sequence[AgentSpec],
    *,
    observer: Observer | None = None,
    on_leave: Callable[[str], None] = exits.leave,
) -> LaneApp:
    """Build the app of a worker.

    Parameters
    ----------
    name
        The role: ``fold``, ``deliver``, ``learn``. With the prefix, it is the consumer group and the first part of
        every transactional id. Therefore, it must never change for an installation.
    connection
        The cluster.
    specs
        The agents of this process; all of their topics must exist.
    observer
        Receives the events of lanes.
    on_leave
        Called with the reason to end this process when another process owns its partitions.
    """
    application = connection.group(name)
    app = LaneApp(
        application,
        broker=f"kafka://{connection.servers.replace(',', ';kafka://').replace(' ', '')}",
        broker_client_id=CLIENT_ID,
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
        stream_wait_empty=True,  # makes Faust call our consumer's wait_empty, which drains the lanes
        worker_redirect_stdouts=False,
        TableManager=NoTables,
    )
    app.fetcher = ConsumerFetcher(app, connection)
    app.lanes = Lanes(connection, specs, application, app.fetcher, observer or Unobserved(), on_leave)
    app.at_once = []
    app.transport = BatchTransport(app, connection, app.lanes)
    for spec in specs:
        _wire(app, connection, spec)

    async def on_assigned(_app: Any, assigned: Iterable[TP], **_: Any) -> None:
        app.lanes.assigned(assigned)

    app.on_partitions_assigned.connect(on_assigned)
    return app


def _wire(app: LaneApp, connection: Connection, spec: AgentSpec) -> None:
    """Let a Faust agent move the fetches of an agent's topics into lanes.

    Lanes are deliberately fed by Faust agents: the streams of this engine are Faust streams, which Faust can show and
    supervise. At a rebalance, Faust drops fetches on their way to a lane, so fetches carry epochs and sequence numbers.
    """
    lanes = app.lanes
    # acks=False: Faust neither tracks nor commits what these agents read.
    topics = app.topic(*map(connection.topic, spec.topics), acks=False, key_serializer="raw", value_serializer="raw")

    async def move(stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            lanes.put(event.message.tp, event.message.value)
            yield

    app.agent(topics, name=spec.name)(move)


class _Worker(faust.Worker):  # type: ignore[misc]  # Faust's types are skipped
    """A Faust worker that ends in time when it is asked to."""

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
        logger.error("not stopped within %.0f s", STOP_WITHIN_S)
        logging.shutdown()
        os._exit(exits.SLOW_STOP)

    async def _sentinel_task(self) -> None:
        """Return immediately; Faust's method waits a second after everything has ended."""

    def _setproctitle(self, info: str, *, ident: str = "perennial") -> None:
        """Keep the process's title, because operators search for its command line."""


def run_worker(app: LaneApp, *, level: int | str = logging.INFO) -> NoReturn:
    """Run a worker in this process until SIGTERM or SIGINT, then end the process.

    The process's garbage collector is tuned for batches: it ignores what exists now, and collects rarely. The memory of
    their buffers returns to the system.

    Exit codes: 0 after a signal, or one of :mod:`stream.processes.exits`.
    """
    set_up_logging(level)
    # A batch makes a hundred thousand small objects, and releases them without any reference cycle. A search for cycles
    # would take a tenth of the fold's time, and more of the time of reading. Objects that exist now are left out of the
    # search, because they exist until the process ends.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    map_large_buffers()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(app, loop=loop, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # Faust would show one on a terminal
    worker.execute_from_commandline()
    raise SystemExit(os.EX_OK)  # never reached, but the return type needs it
