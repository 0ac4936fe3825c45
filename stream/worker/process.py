"""One worker process of one role: its lanes, and what stands beside them."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from models.events import CHANNELS, Channel
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.cluster.topics import await_topics
from stream.delivery.holds import Holds
from stream.engine.agent_spec import Edge
from stream.lookup.identity import await_identity
from stream.processes.exposition import expose
from stream.processes.heartbeat import HeartbeatWriter
from stream.settings.loading import Settings
from stream.transport.app import LaneApp, create_app, run_worker
from stream.worker.health import as_health, standing
from stream.worker.metrics import MetricsObserver, report
from stream.worker.topology import Role, deliver_edges, fold_edges, learn_edges
from stream.worker.watchdog import LOOK_EVERY_S, Membership, Report, Watchdog, left_out, records_wait

if TYPE_CHECKING:
    from stream.delivery.dispatcher import Dispatcher
    from stream.suppressions.watch import SuppressionWatch

log = logging.getLogger(__name__)


def run(role: Role, settings: Settings) -> NoReturn:
    """Run a worker until SIGTERM or SIGINT; ends the process.

    Raises
    ------
    TopicsNotReady
        Before anything starts, with the command to run.
    """
    connection, beats = settings.connection(), HeartbeatWriter.from_environment()
    if beats is None:
        await_topics(connection, settings.partitions)  # else the supervisor has; a restart shall be quick
    port: int | None = getattr(settings.sections.metrics, role)
    told: dict[str, Any] = {
        "metrics": None if port is None else expose(port, settings.sections.metrics.host).port,
        "lookups": None,
    }
    holds = Holds()
    watch = _suppressions(connection, settings, holds) if role == "deliver" else None
    edges, dispatchers = _edges(role, settings, holds, watch)
    app = create_app(role, connection, edges, observer=MetricsObserver())

    news = asyncio.Event()

    async def beside() -> None:
        async with AsyncExitStack() as stack:
            for dispatcher in dispatchers.values():
                stack.push_async_callback(dispatcher.close)
            # Lookups wait for the broker; the metrics of the lanes do not.
            await asyncio.gather(report(app.lanes), serve(stack))

    async def serve(stack: AsyncExitStack) -> None:
        if role == "fold":
            # a fifth of what is imported, and the first users shall not wait for it
            lookups = await asyncio.to_thread(_load_lookups)
            identity = await await_identity(connection)
            answering = lookups(app, settings, lambda: _standing(app), identity)
            told["lookups"] = await stack.enter_async_context(answering)
        if role == "deliver":
            from stream.delivery.self_check import checking

            await stack.enter_async_context(checking(connection, settings, holds))
        news.set()  # who dies now shall have told which member it was

    async def watching() -> None:
        with watched(app, connection, settings.stall_after_s, told, beats, dispatchers) as watchdog:
            while await news.wait():
                news.clear()
                watchdog.hurry()

    app.at_once.append(watching)
    if watch is not None:
        from stream.suppressions.announcing import announce

        app.at_once += [watch.follow, functools.partial(announce, watch, connection, settings.partitions)]
    app.task(beside)
    run_worker(app)


def _suppressions(connection: Connection, settings: Settings, holds: Holds) -> SuppressionWatch:
    from models.delivery.suppression_list import SuppressionList
    from stream.delivery.configured import suppression_hashes
    from stream.suppressions.watch import SuppressionWatch

    return SuppressionWatch(connection, SuppressionList(suppression_hashes(settings)), holds)


def _edges(
    role: Role, settings: Settings, holds: Holds, watch: SuppressionWatch | None
) -> tuple[Sequence[Edge], Mapping[Channel, Dispatcher]]:
    if role == "fold":
        return fold_edges(), {}
    if role == "learn":
        return learn_edges(), {}
    # only who delivers needs an SMTP client
    from models.delivery.suppressor import Suppressor
    from stream.delivery.channels import open_channel
    from stream.delivery.configured import delivery_settings

    assert watch is not None, "nothing is sent without the suppression list"
    dispatchers = {
        channel: open_channel(
            channel,
            delivery_settings(settings),
            now=now_ms,
            holds=holds,
            suppressor=Suppressor(channel, watch.listed, watch.behind),
        )
        for channel in CHANNELS
    }
    return deliver_edges(dispatchers, now_ms), dispatchers


def _standing(app: LaneApp, held: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    lanes = [as_health(lane) for lane in app.lanes.snapshot()]
    return standing(lanes, assigned=app.lanes.has_assignment, held=held)


@contextmanager
def watched(
    app: LaneApp,
    connection: Connection,
    stall_after_s: float,
    told: Mapping[str, Any],
    beats: HeartbeatWriter | None = None,
    dispatchers: Mapping[Channel, Dispatcher] = MappingProxyType({}),
) -> Iterator[Watchdog]:
    """End this process when it stands still, and tell its supervisor every second how it is.

    Parameters
    ----------
    app, connection
        The worker, and its cluster.
    stall_after_s
        Input that waits for so long without anything being done is too long.
    told
        What the supervisor shall know, beside how the lanes stand.
    beats
        Where it listens.
    dispatchers
        Whoever calls providers: how those stand is told, too.
    """

    def look() -> Report:
        app.lanes.check_group()
        group = Membership(app.conf.id, app.lanes.member, app.lanes.has_assignment)
        member = {"group": group.group, "member": group.member}
        providers = {channel: dispatcher.describe() for channel, dispatcher in dispatchers.items()}
        held = {name: words for provider in providers.values() for name, words in provider["held"].items()}
        delivery = {"providers": providers} if dispatchers else {}
        return Report(app.lanes.snapshot(), {**_standing(app, held), **member, **told, **delivery}, group)

    watchdog = Watchdog(
        asyncio.get_running_loop(),
        look,
        functools.partial(records_wait, connection),
        functools.partial(left_out, connection),
        patience=max(1, round(stall_after_s / LOOK_EVERY_S)),
        beats=beats,
    )
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


def _load_lookups() -> Callable[
    [LaneApp, Settings, Callable[[], Mapping[str, Any]], str], AbstractAsyncContextManager[int]
]:
    from stream.lookup.serving import lookups

    return lookups
