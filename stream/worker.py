"""One worker process of one role: its lanes, and what stands beside them."""

from __future__ import annotations

import errno
import gc
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

from models.batch import Restored
from models.events import CHANNELS
from monitoring import metrics
from stream.app import LaneApp, create_app, run_worker
from stream.artifacts import ArtifactFolder
from stream.delivery.channels import open_channel
from stream.delivery.configured import delivery_settings
from stream.edge import Edge
from stream.lanes import LaneReport
from stream.lookup.server import LookupServer
from stream.lookup.workers import ports
from stream.model_watch import ModelWatch
from stream.observer import MetricsObserver, report
from stream.settings import Settings
from stream.topics import require_topics
from stream.topology import Role, deliver_edges, fold_edges, learn_edges

log = logging.getLogger(__name__)


def now_ms() -> int:
    """The wall clock, milliseconds."""
    return time.time_ns() // 1_000_000


def run(role: Role, settings: Settings) -> NoReturn:
    """Run a worker until SIGTERM or SIGINT; ends the process.

    Raises
    ------
    TopicsNotReady, BrokerUnreachable
        Before anything starts, with the command to run.
    """
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    # A batch makes tens of thousands of small objects that die young: collecting every 700 costs a tenth of the fold.
    gc.set_threshold(50_000, 20, 50)
    port: int | None = getattr(settings.metrics, role)
    if port is not None:
        expose(port, settings.metrics.host)
    edges, closing = _edges(role, settings)
    app = create_app(role, connection, edges, observer=MetricsObserver())

    async def beside() -> None:
        async with AsyncExitStack() as stack:
            for close in closing:
                stack.push_async_callback(close)
            if role == "fold":
                await stack.enter_async_context(_lookups(app, settings))
            await report(app.lanes)

    app.task(beside)
    run_worker(app)


def expose(port: int, host: str) -> None:
    """Serve this process's metrics; a second process of the same role takes a free port and says which."""
    try:
        metrics.serve(port, host)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        log.warning("port %d is taken: metrics are at %d", port, metrics.serve(0, host).port)


def _edges(role: Role, settings: Settings) -> tuple[Sequence[Edge], list[Any]]:
    if role == "fold":
        return fold_edges(), []
    if role == "learn":
        return learn_edges(), []
    senders = {channel: open_channel(channel, delivery_settings(settings), now=now_ms) for channel in CHANNELS}
    return deliver_edges(senders, now_ms), [sender.close for sender in senders.values()]


@asynccontextmanager
async def _lookups(app: LaneApp, settings: Settings) -> AsyncIterator[None]:
    """Answer for the users of this worker's partitions, recommendations included."""
    watch = ModelWatch(settings.connection(), ArtifactFolder(settings.artifacts))

    def restored(partition: int) -> Restored | None:
        return app.lanes.restored("events", partition)

    server = LookupServer(
        restored=restored,
        owns=lambda partition: any(
            lane.topic == "events" and lane.partition == partition for lane in app.lanes.snapshot()
        ),
        lanes=lambda: [as_health(lane) for lane in app.lanes.snapshot()],
        partitions=settings.partitions,
        recommends=watch,
    )
    await watch.start()
    try:
        log.info("lookups at http://%s:%d", settings.worker.host, await _listen(server, settings))
        yield
    finally:
        await server.stop()
        await watch.stop()


def as_health(lane: LaneReport) -> dict[str, Any]:
    """How a lane stands, as the lookup server tells it; what is unknown stays ``None``."""
    return {
        "topic": lane.topic,
        "partition": lane.partition,
        "open": lane.is_open,
        "position": lane.position,
        "lag": lane.lag,
        "idle_s": round(lane.seconds_since_commit, 1),
        "failures": lane.failures,
    }


async def _listen(server: LookupServer, settings: Settings) -> int:
    tried = ports(settings)
    for port in tried:
        try:
            return await server.start(settings.worker.host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"ports {tried[0]} to {tried[-1]} are all taken")
