"""One worker process of one role: its lanes, and everything that runs beside them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import NoReturn

from models.log import EVENTS
from stream.cluster.connection import Connection
from stream.cluster.topics import await_topics
from stream.delivery.holds import Holds
from stream.lookup.identity import await_identity
from stream.processes.exposition import expose
from stream.processes.heartbeat import HeartbeatWriter
from stream.settings.loading import Settings
from stream.transport.app import LaneApp, create_app, run_worker
from stream.worker.metrics import MetricsObserver, show_lanes
from stream.worker.roles import RoleParts
from stream.worker.state import WorkerState
from stream.worker.topology import Role, fold_agents, learn_agents
from stream.worker.watchdog import SAMPLE_EVERY_S, KafkaProbe, Patience, Watchdog


def run(role: Role, settings: Settings) -> NoReturn:
    """Run a worker until SIGTERM or SIGINT, then end the process.

    Raises
    ------
    TopicsNotReady
        Topics are missing. Nothing was started, and the error names the command to run.
    """
    connection, heartbeat = settings.connection(), HeartbeatWriter.from_environment()
    if heartbeat is None:
        await_topics(connection, settings.partitions)  # a supervisor has already done that, so a restart is fast
    metrics = settings.sections.metrics
    port: int | None = getattr(metrics, role)
    metrics_port = None if port is None else expose(port, metrics.host).port
    holds = Holds()
    parts = open_role(role, connection, settings, holds)
    app = create_app(role, connection, parts.specs, observer=MetricsObserver())
    state = WorkerState(app, parts.dispatchers, metrics_port)
    has_news = asyncio.Event()

    async def run_beside() -> None:
        async with AsyncExitStack() as stack:
            for dispatcher in parts.dispatchers.values():
                stack.push_async_callback(dispatcher.close)
            # Lookups wait for the broker; the metrics of the lanes do not.
            await asyncio.gather(show_lanes(app.lanes, state.waiting), serve(stack))

    async def serve(stack: AsyncExitStack) -> None:
        if role == "fold":
            state.lookups_port = await stack.enter_async_context(await _open_lookups(connection, settings, app, state))
        if role == "deliver":
            # imported here because only a delivering worker checks its settings and providers
            from stream.delivery.self_check import checking

            await stack.enter_async_context(checking(connection, settings, holds))
        has_news.set()  # reports immediately, so that the supervisor can remove this member from the group if it dies

    async def watch() -> None:
        with watched(state, connection, settings.stall_after_s, heartbeat) as watchdog:
            while await has_news.wait():
                has_news.clear()
                watchdog.hurry()

    app.at_once += [watch, *parts.at_once]
    app.task(run_beside)
    run_worker(app)


def open_role(role: Role, connection: Connection, settings: Settings, holds: Holds) -> RoleParts:
    """Return the parts of a worker; connect nowhere.

    Parameters
    ----------
    role
        Role of the worker.
    connection
        The cluster.
    settings
        Settings of the installation.
    holds
        Reasons for which a delivering worker sends no messages.
    """
    if role == "fold":
        return RoleParts(fold_agents())
    if role == "learn":
        return RoleParts(learn_agents())
    # imported here because only a delivering worker needs an SMTP client and the suppression list
    from stream.worker.delivering import open_delivery

    return open_delivery(connection, settings, holds)


@contextmanager
def watched(
    state: WorkerState, connection: Connection, stall_after_s: float, heartbeat: HeartbeatWriter | None = None
) -> Iterator[Watchdog]:
    """End this process when it stands still, and report to its supervisor every second.

    Parameters
    ----------
    state
        State of the worker.
    connection
        The cluster.
    stall_after_s
        How long records may wait while nothing is done, seconds.
    heartbeat
        Pipe to the supervisor; ``None`` if there is no supervisor.
    """
    watchdog = Watchdog(
        asyncio.get_running_loop(),
        state.sample,
        KafkaProbe(connection),
        Patience(max(1, round(stall_after_s / SAMPLE_EVERY_S))),
        heartbeat,
    )
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


async def _open_lookups(
    connection: Connection, settings: Settings, app: LaneApp, state: WorkerState
) -> AbstractAsyncContextManager[int]:
    # Lookups need a fifth of the time of all imports, so a thread imports them while the first users are folded.
    open_lookups = await asyncio.to_thread(_import_lookups)
    identity = await await_identity(connection)
    return open_lookups(app, state, settings, identity)


def _import_lookups() -> Callable[[LaneApp, WorkerState, Settings, str], AbstractAsyncContextManager[int]]:
    from stream.lookup.serving import FoldQueries, lookups

    def open_lookups(
        app: LaneApp, state: WorkerState, settings: Settings, identity: str
    ) -> AbstractAsyncContextManager[int]:
        queries = FoldQueries(
            functools.partial(app.lanes.restored, EVENTS), functools.partial(app.lanes.owns, EVENTS), state.standing
        )
        return lookups(queries, settings, identity)

    return open_lookups
