"""Metrics of a process at its port, or at a free one where that is taken."""

from __future__ import annotations

import errno
import logging

from monitoring import metrics

log = logging.getLogger(__name__)


def expose(port: int, host: str) -> metrics.Exposition:
    """Serve this process's metrics until the result is closed.

    A port that is taken is replaced by a free one, which is logged: metrics never stop a process from starting.
    """
    try:
        return metrics.serve(port, host)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    exposition = metrics.serve(0, host)
    log.warning("port %d is taken: metrics are at %d", port, exposition.port)
    return exposition
