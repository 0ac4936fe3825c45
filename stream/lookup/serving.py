"""Lookups of a worker, beside its fold; a module of its own, because a fold needs neither numpy nor a web server."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from models.batch import Restored
from models.log import EVENTS
from stream.lookup.server import LookupServer
from stream.recommender.artifacts import ArtifactFolder
from stream.recommender.following import ModelWatch
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_ports
from stream.transport.app import LaneApp

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lookups(
    app: LaneApp, settings: Settings, standing: Callable[[], Mapping[str, Any]], identity: str
) -> AsyncIterator[int]:
    """Answer questions about the users of this worker's partitions, recommendations included; yield the port.

    Parameters
    ----------
    app, settings
        The Faust application of the worker, and the settings of the installation.
    standing
        Function that returns the state of the worker, for ``/health`` and ``/ready``.
    identity
        Identity of the installation, which each answer names.
    """
    watch = ModelWatch(settings.connection(), ArtifactFolder(settings.artifacts))

    def restored(partition: int) -> Restored | None:
        return app.lanes.restored(EVENTS, partition)

    server = LookupServer(
        restored=restored,
        owns=lambda partition: any(
            lane.topic == EVENTS and lane.partition == partition for lane in app.lanes.snapshot()
        ),
        standing=standing,
        partitions=settings.partitions,
        recommends=watch,
        identity=identity,
    )
    await watch.start()
    try:
        port = await _listen(server, settings)
        logger.info("lookups at http://%s:%d", settings.sections.worker.host, port)
        yield port
    finally:
        await server.stop()
        await watch.stop()


async def _listen(server: LookupServer, settings: Settings) -> int:
    tried = worker_ports(settings.sections.worker)
    for port in tried:
        try:
            return await server.start(settings.sections.worker.host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"ports {tried[0]} to {tried[-1]} are all taken")
