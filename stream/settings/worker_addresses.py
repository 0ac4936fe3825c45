"""Addresses at which the workers of this machine answer for their users."""

from __future__ import annotations

from stream.settings.http_schema import HttpSection
from stream.settings.schema import WorkerSection

MAX_WORKERS = 16
"""Maximum number of folds on a machine; each takes a different port, from ``worker.port`` upwards."""

_MAX_PORT = 65_535


def worker_ports(worker: WorkerSection) -> range:
    """Return the ports to try, the lowest first; if the port is 0, return only 0, because the system chooses one."""
    first = worker.port
    return range(first, min(first + MAX_WORKERS, _MAX_PORT + 1)) if first else range(1)


def worker_urls(worker: WorkerSection) -> list[str]:
    """Return ``http://host:port`` for each port at which a worker of this machine may answer."""
    host = worker.host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return [f"http://{shown}:{port}" for port in worker_ports(worker)]


def worker_addresses(http: HttpSection, worker: WorkerSection) -> list[str]:
    """Return ``host:port`` of each worker that the HTTP door may ask.

    These are the workers of the settings (``http.workers``), or those of this machine if none are given.
    """
    return list(http.workers) or [url.removeprefix("http://") for url in worker_urls(worker)]
