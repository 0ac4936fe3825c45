"""Lookups of users, which the process of a fold serves.

This module is separate, because a fold does not need a web server to start.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from models.batch import Restored
from stream.cluster.errors import BrokerUnavailable
from stream.log.deciding_events import TooLong, with_deciding_events
from stream.lookup.server import LogUnreadable, LookupServer
from stream.recommender.artifacts import ArtifactFolder
from stream.recommender.following import ModelWatch
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_ports

logger = logging.getLogger(__name__)

MAX_RECORDS = 2_000_000
"""Maximum number of records that a worker reads for an answer, because reading takes processor time from the fold."""


class FoldQueries(NamedTuple):
    """The functions of a fold that the lookups in its process call.

    Attributes
    ----------
    restored
        Returns the committed state of a partition of ``events``; ``None`` if this process does not have it.
    owns
        Returns whether the process has a partition of ``events``.
    standing
        Returns the state of the process, for ``/health`` and ``/ready``.
    """

    restored: Callable[[int], Restored | None]
    owns: Callable[[int], bool]
    standing: Callable[[], Mapping[str, Any]]


@asynccontextmanager
async def lookups(fold: FoldQueries, settings: Settings, identity: str) -> AsyncIterator[int]:
    """Answer for the users of this worker's partitions, recommendations included; yield the port.

    Parameters
    ----------
    fold
        The fold of this process.
    settings
        Settings of the installation.
    identity
        Identity of the installation, for each answer.
    """
    watch = ModelWatch(settings.connection(), ArtifactFolder(settings.artifacts))
    server = LookupServer(
        restored=fold.restored,
        owns=fold.owns,
        standing=fold.standing,
        partitions=settings.partitions,
        recommends=watch,
        identity=identity,
    )
    server.with_events = partial(_with_events, settings)
    await watch.start()
    try:
        port = await _listen(server, settings)
        logger.info("lookups at http://%s:%d", settings.sections.worker.host, port)
        yield port
    finally:
        await server.stop()
        await watch.stop()


async def _with_events(settings: Settings, answer: dict[str, Any]) -> dict[str, Any]:
    try:
        return await with_deciding_events(settings.connection(), answer, limit=MAX_RECORDS)
    except TooLong as error:
        raise LogUnreadable(
            f"the partition's log has more than {MAX_RECORDS:,} records; a worker reads no more for an answer. "
            f"perennial user {answer['user']} --why {answer['segment']} reads it in a process of its own"
        ) from error
    except BrokerUnavailable as error:
        raise LogUnreadable(str(error)) from error


async def _listen(server: LookupServer, settings: Settings) -> int:
    tried = worker_ports(settings.sections.worker)
    for port in tried:
        try:
            return await server.start(settings.sections.worker.host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"ports {tried[0]} to {tried[-1]} are all taken")
