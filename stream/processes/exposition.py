"""Metrics of a process at its port, or at a free one if that port is taken."""

from __future__ import annotations

import errno
import logging

from monitoring.exposition import Exposition, serve

logger = logging.getLogger(__name__)


def expose(port: int, host: str) -> Exposition:
    """Serve this process's metrics until the result is closed.

    If the port is taken, a free one is used and logged, because metrics must never stop a process from starting.
    """
    try:
        return serve(port, host)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    exposition = serve(0, host)
    logger.warning("port %d is taken: metrics are at %d", port, exposition.port)
    return exposition
